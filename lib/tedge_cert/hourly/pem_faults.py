# SPDX-License-Identifier: Apache-2.0
"""Say why OpenSSL does not read a file as PEM, and which command mends it: ``FILE`` stands for the path."""

KEY = b"PRIVATE KEY"
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BLANK = (b" ", b"\t", b"\xc2\xa0")


class PemError(ValueError):
    """A file is not what OpenSSL takes for PEM; ``cure`` is the command that mends it, with ``FILE`` for its path."""

    def __init__(self, text: str, cure: str = "") -> None:
        super().__init__(text)
        self.cure = cure


def of_certificate(content: bytes, reason: str) -> PemError:
    """Return the error for a file that should hold certificates; ``reason`` is what the reader met, if anything."""
    if not content.strip():
        return PemError("the file is empty, expected a certificate in PEM")
    if content[:1] == b"\x30":
        is_pkcs7 = _SIGNED_DATA in content[:32]
        kind, tool = ("it is PKCS#7 in DER", "pkcs7 -print_certs") if is_pkcs7 else ("it looks like DER", "x509")
        return _converted(kind, f"openssl {tool} -inform DER -in FILE")
    if b"-----BEGIN PKCS7-----" in content:
        return _converted("it is PKCS#7", "openssl pkcs7 -in FILE -print_certs")
    if fault := _of_text(content, b"CERTIFICATE"):
        return fault
    if KEY in content and not reason:
        return PemError("it holds a private key and no certificate")
    return PemError(reason or 'no "BEGIN CERTIFICATE" block found, expected a certificate in PEM')


def of_key(content: bytes, reason: str) -> PemError:
    """Return the error for a file that should hold a private key."""
    if content[:1] == b"\x30":
        return _converted("it looks like DER", "openssl pkey -inform DER -in FILE")
    return _of_text(content, KEY) or PemError(reason or 'no "PRIVATE KEY" block found')


def _converted(what: str, command: str) -> PemError:
    return PemError(f"{what}, expected PEM", in_place(command))


def in_place(command: str) -> str:
    """Return a command that replaces the content of its file, with owner and mode kept.

    Written to its own input, openssl empties the file before it reads it.
    """
    return f"sudo {command} -out FILE.pem && sudo cp FILE.pem FILE && sudo rm FILE.pem"


def _of_text(content: bytes, label: bytes) -> PemError | None:
    """Return what an editor, a form or a shell did to the text; None if it did nothing to it."""
    if content.startswith(_UTF_16) or (label in content.replace(b"\0", b"") and label not in content):
        command = in_place("iconv -f UTF-16 -t UTF-8 FILE").replace("-out", "-o")
        return PemError("it is UTF-16, and OpenSSL reads ASCII and UTF-8 only", command)
    lines = [each for each in content.split(b"\n") if b"-----BEGIN " in each or b"-----END " in each]
    if any(each.strip(b' \t\r",').count(b"-----") > 2 or b"\\n" in each for each in lines):
        return _without_breaks(content)
    if any(each.startswith(_BLANK) for each in lines):
        return PemError("its lines are indented, and OpenSSL reads no such PEM", "sudo sed -i 's/^[[:space:]]*//' FILE")
    return None


def _without_breaks(content: bytes) -> PemError:
    what = "its line breaks are lost, and OpenSSL reads no such PEM"
    if b"\\n" in content:
        return PemError(what, r"""sudo sed -i 's/"//g; s/\\n/\n/g' FILE""")
    if b"\n" not in content.strip() and b"\r" in content:
        return PemError(what, r"sudo sed -i 's/\r/\n/g' FILE")
    between = r"s/ *(-----BEGIN [A-Z ]+-----) */\1\n/g; s/ *(-----END [A-Z ]+-----) */\n\1\n/g"
    return PemError(what, f"sudo sed -i -E '{between}' FILE")
