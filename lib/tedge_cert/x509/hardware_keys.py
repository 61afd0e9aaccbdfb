# SPDX-License-Identifier: Apache-2.0
"""Private keys in a TPM 2.0 or a PKCS#11 token: a PEM file names the key, and OpenSSL's provider uses it.

``cryptography`` must never see such a file: its version 43 panics in Rust, 38 returns a key that cannot sign. So the
label in the file is read before anything else, and signatures are made by ``openssl``.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import processes
from tedge_cert.errors import CertificateError, TedgeCertError, UnreadableError
from tedge_cert.hourly import pem
from tedge_cert.hourly.der import element
from tedge_cert.hourly.pem_faults import PemError

TPM, TOKEN = b"TSS2 PRIVATE KEY", b"PKCS#11 PROVIDER URI"
# What the provider and the libraries below it read; everything else of the environment is kept from `openssl`.
VARIABLES = (
    "OPENSSL_CONF", "OPENSSL_MODULES", "TPM2OPENSSL_TCTI", "TSS2_LOG", "TPM2_PKCS11_TCTI", "TPM2_PKCS11_STORE",
    "SOFTHSM2_CONF", "DBUS_SYSTEM_BUS_ADDRESS",
)  # fmt: skip
# TPM 2.0 Library, part 2: algorithms (§6.3) and curves (§6.4).
_RSA, _ECC, _NULL = 0x0001, 0x0023, 0x0010
_CURVES = {0x0003: "SECP256R1", 0x0004: "SECP384R1", 0x0005: "SECP521R1"}
_BOOLEAN_TRUE = b"\x01\x01"


@dataclass(frozen=True)
class HardwareKey:
    """A private key that never leaves its hardware; ``public_key`` is its SubjectPublicKeyInfo in DER."""

    path: Path
    kind: bytes
    public_key: bytes

    @property
    def is_rsa(self) -> bool:
        return _RSA_ENCRYPTION in self.public_key[:32]

    def sign(self, content: bytes) -> bytes:
        """Return the signature of the SHA-256 of ``content``: ECDSA in DER, or RSA by PKCS#1 v1.5."""
        return _openssl(self.path, self.kind, ["dgst", "-sha256", "-sign", str(self.path)], content)


# The object identifier rsaEncryption (RFC 8017 appendix C).
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")


def kind_in(content: bytes) -> bytes:
    """Return ``TPM`` or ``TOKEN`` if the PEM file names a key in hardware; empty if not."""
    return _block(content)[0]


def load(path: Path, content: bytes) -> HardwareKey:
    """Return the key that the ``content`` of ``path`` names; raises CertificateError.

    The public key of a TPM key is in the file, so no TPM is needed. That of a token comes from the token.
    """
    kind, der = _block(content)
    if kind == TPM:
        return HardwareKey(path, kind, _public_key_in(path, der))
    found = _openssl(path, kind, ["pkey", "-in", str(path), "-pubout", "-outform", "DER"], b"")
    return HardwareKey(path, kind, found)


def _block(content: bytes) -> tuple[bytes, bytes]:
    try:
        return next(((label, der) for label, der, _ in pem.blocks(content) if label in (TPM, TOKEN)), (b"", b""))
    except PemError:
        return b"", b""


def _public_key_in(path: Path, der: bytes) -> bytes:
    """Return the public key in a TPMKey (the format of ``TSS2 PRIVATE KEY``)."""
    try:
        fields = _fields(der)
        # [0] EXPLICIT emptyAuth; its true is any octet but zero, and tpm2-openssl writes 1.
        has_password = not any(tag == 0xA0 and value[:2] == _BOOLEAN_TRUE and value[2] for tag, value in fields)
        public = next((value for tag, value in fields if tag == 0x04), b"")
        found = _of_tpm_public(public)
    except (IndexError, ValueError) as error:
        raise CertificateError(
            f"the private key {path} is a key of a TPM that cannot be read ({error}); expected what "
            "`openssl genpkey -provider tpm2` writes; restore the file"
        ) from error
    if has_password:
        raise CertificateError(
            f"the private key {path} is a key of a TPM with a password of its own, which mosquitto's bridge cannot "
            "give; expected one without password"
        )
    return found


def _fields(der: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element of a SEQUENCE."""
    _, begin, end = element(der, 0)
    found = []
    while begin < end:
        _, value, after = element(der, begin)
        found.append((der[begin], der[value:after]))
        begin = after
    return found


def _of_tpm_public(public: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a TPM2B_PUBLIC (TPM 2.0 Library, part 2, §12.2.5)."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    reader = _Reader(public)
    reader.number(2)
    kind, _, _ = reader.number(2), reader.number(2), reader.number(4)
    reader.sized()
    if reader.number(2) != _NULL:
        reader.number(4)
    if reader.number(2) != _NULL:
        reader.number(2)
    made: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    if kind == _RSA:
        reader.number(2)
        exponent = reader.number(4) or 65_537
        made = rsa.RSAPublicNumbers(exponent, int.from_bytes(reader.sized(), "big")).public_key()
    elif kind == _ECC:
        curve = getattr(ec, _CURVES.get(reader.number(2), ""), None)
        if curve is None:
            raise ValueError("its curve is not one of NIST's")
        if reader.number(2) != _NULL:
            reader.number(2)
        x, y = (int.from_bytes(reader.sized(), "big") for _ in range(2))
        made = ec.EllipticCurvePublicNumbers(x, y, curve()).public_key()
    else:
        raise ValueError(f"it is of the kind {kind:#06x}, expected RSA or EC")
    return made.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class _Reader:
    """Read numbers (big-endian) and sized buffers one after the other; raises ValueError at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def sized(self) -> bytes:
        return self._take(self.number(2))

    def _take(self, size: int) -> bytes:
        if size > len(self._data):
            raise ValueError("its public part is cut off")
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def _openssl(path: Path, kind: bytes, words: list[str], content: bytes) -> bytes:
    """Return what ``openssl`` prints with the provider of this process's environment; raises UnreadableError."""
    try:
        done = processes.pipe(["openssl", *words], content, _variables())
    except TedgeCertError as error:
        raise UnreadableError(f"cannot use the private key {path}: {error}") from error
    if done.returncode or not done.stdout:
        raise UnreadableError(f"cannot use the private key {path}: {_why(kind)}")
    return done.stdout


def _why(kind: bytes) -> str:
    """Return the cause: OpenSSL's own words are the same for all of them, so they are looked at one by one."""
    name, what = ("tpm2", "TPM") if kind == TPM else ("pkcs11", "token")
    if not _is_installed(name):
        return _PACKAGES[name]
    if kind == TPM and "OPENSSL_CONF" not in os.environ:
        return "OpenSSL is not set up for it; `sudo tedge hsm create-key --tpm` does that, and keeps the key"
    if kind == TPM and (why := why_no_tpm(os.environ.get("TPM2OPENSSL_TCTI", ""))):
        return why
    if name not in _said(["openssl", "list", "-providers"]).split():
        return f"OpenSSL's provider {name} is not on; expected an OPENSSL_CONF that names it, and a {what} that answers"
    return (
        f"OpenSSL's provider {name} is on, and the {what} does not sign with this key; expected the {what} in which "
        "the key was made, with nothing cleared since"
    )


def why_no_tpm(reached_by: str) -> str:
    """Return why the TPM cannot be used, and what to do; empty if it can be reached."""
    if not _is_installed("tpm2"):
        return _PACKAGES["tpm2"]
    node = reached_by.removeprefix("device:")
    if node.startswith("/") and not os.path.lexists(node):
        return f"there is no TPM at {node}; switch it on in the firmware, or set device.tpm.tcti to where it is"
    if node.startswith("/") and not os.access(node, os.R_OK | os.W_OK):
        return f"user tedge may not open the TPM {node}; `sudo usermod --append --groups tss tedge` lets it"
    listed = processes.pipe(
        ["openssl", "list", "-providers", "-provider", "tpm2", "-provider", "default"],
        b"",
        {**_variables(), "TPM2OPENSSL_TCTI": reached_by, "TSS2_LOG": "all+none"},
    )
    return f"the TPM does not answer (device.tpm.tcti {reached_by})" if listed.returncode else ""


_PACKAGES = {
    "tpm2": "OpenSSL's provider for a TPM is not installed: `sudo apt install tpm2-openssl`, then try again",
    "pkcs11": "OpenSSL's provider for a token is not installed: `sudo apt install pkcs11-provider` (Debian 12: with "
    "`-t bookworm-backports`), then try again",
}


def _is_installed(name: str) -> bool:
    directory = _said(["openssl", "version", "-m"]).partition('"')[2].partition('"')[0]
    return os.path.exists(f"{directory}/{name}.so")  # noqa: PTH110 (a name that openssl said)


def _said(command: list[str]) -> str:
    return processes.pipe(command, b"", _variables()).stdout.decode("utf-8", "replace")


def _variables() -> dict[str, str]:
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}
