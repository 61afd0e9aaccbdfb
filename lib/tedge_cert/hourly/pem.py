# SPDX-License-Identifier: Apache-2.0
"""Find the blocks of a PEM file exactly as OpenSSL does (pem_lib.c), because mosquitto has no other reader.

The hourly check uses this module, so it imports built-in modules only.
"""

import binascii
import posix

from tedge_cert.hourly import pem_faults
from tedge_cert.hourly.der import element
from tedge_cert.hourly.pem_faults import KEY, PemError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CERTIFICATE, OLD, TRUSTED = b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"
_BEGIN, _END, _TAIL, _MARK = b"-----BEGIN ", b"-----END ", b"-----", b"\xef\xbb\xbf"
# OpenSSL takes these off the end of a line, and passes over those of the second row within one.
_ENDS, _BLANKS = bytes(range(33)), b" \t\r"
# After a blank line, which ends headers, lines have this length, except the last one.
_COLUMNS = 64


def read(path: str) -> bytes:
    """Return the content of a file, a mebibyte at most; raises OSError."""
    # Not blocking, because a pipe put there by mistake would block every later check.
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 1 << 20)
    finally:
        posix.close(descriptor)


def blocks(content: bytes) -> list[tuple[bytes, bytes, bool]]:
    """Return label and content of each block, and whether it has headers (of encryption); raises PemError."""
    lines, found = _lines(content), []
    while label := _next_label(lines):
        found.append((label, *_body(lines, label)))
    return found


def certificates_in(content: bytes) -> list[bytes]:
    """Return every certificate of a PEM file in DER, in the order of the file; raises PemError if there is none."""
    try:
        all_blocks = blocks(content)
    except PemError as error:
        raise pem_faults.of_certificate(content, str(error)) from error
    found: list[bytes] = []
    for label, der, has_header in all_blocks:
        # Only the first certificate may be one with OpenSSL's own additions.
        if label not in (CERTIFICATE, OLD) and (label != TRUSTED or found):
            continue
        if has_header:
            raise PemError("a certificate has a header or a blank line in its block, which OpenSSL does not read")
        # OpenSSL's additions follow the certificate, and it passes over anything that follows a further one.
        found.append(_without_rest(der) if found or label == TRUSTED else der)
    if not found:
        raise pem_faults.of_certificate(content, "")
    return found


def _without_rest(der: bytes) -> bytes:
    try:
        return der[: element(der, 0)[2]]
    except (IndexError, ValueError) as error:
        raise PemError(f"a block holds no X.509 certificate ({error})") from error


def check_key(content: bytes) -> None:
    """Raise PemError unless OpenSSL finds a private key in a PEM file."""
    reason = ""
    try:
        if any(label.endswith(KEY) for label, _, _ in blocks(content)):
            return
    except PemError as error:
        reason = str(error)
    raise pem_faults.of_key(content, reason)


def holds_key(content: bytes) -> bool:
    """Return whether a private key in PEM is in the content, even in a block that OpenSSL does not read."""
    return KEY + _TAIL in content.replace(b"\0", b"")


def _lines(content: bytes) -> "Iterator[bytes]":
    for raw in content.split(b"\n"):
        line, ends, _ = raw.partition(b"\0")
        if ends and not line:
            # A line that begins with NUL is the end of the file, as C reads it.
            return
        yield line.rstrip(_ENDS)


def _next_label(lines: "Iterator[bytes]") -> bytes:
    mark = _MARK
    for each in lines:
        line, mark = each.removeprefix(mark), b""
        if line.startswith(_BEGIN) and line.endswith(_TAIL):
            return line[len(_BEGIN) : -len(_TAIL)]
    return b""


def _body(lines: "Iterator[bytes]", label: bytes) -> tuple[bytes, bool]:
    before: list[bytes] = []
    after: list[bytes] | None = None
    is_last = False
    for line in lines:
        if line.startswith(_END):
            if line != _END + label + _TAIL:
                raise PemError(f"the block {_shown(label)} ends as another one")
            return (_decoded(before, label), False) if after is None else (_decoded(after, label), bool(before))
        if after is None and line:
            before.append(line)
        elif after is None:
            after = []
        elif not line or is_last or len(line) > _COLUMNS:
            raise PemError(f"there is a blank line in the block {_shown(label)}")
        else:
            after.append(line)
            is_last = len(line) < _COLUMNS
    raise PemError(f'the block {_shown(label)} has no "END" line: the file is cut off')


def _decoded(lines: list[bytes], label: bytes) -> bytes:
    try:
        text = b"".join(lines).translate(None, _BLANKS)
        der = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise PemError(f"the block {_shown(label)} is not base64 ({error})") from error
    # The decoder passes over padding that is not needed, and OpenSSL does not.
    if len(text) % 4:
        raise PemError(f"the block {_shown(label)} is not base64 (it has too much padding)")
    if not der:
        raise PemError(f"the block {_shown(label)} is empty")
    return der


def _shown(label: bytes) -> str:
    return label.decode("ascii", "backslashreplace")
