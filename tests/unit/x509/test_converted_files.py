# SPDX-License-Identifier: Apache-2.0
"""Files of another form: the message has the command that converts them, and the command works as it is typed."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
)

from tedge_cert.errors import CertificateError
from tedge_cert.x509 import certificate, keys
from unit.certificates import key_pem, make, new_key

KEY = new_key()
CA = make("a CA")
LEAF = make(key=KEY, issuer=CA)


def typed(error: CertificateError, stdin: str = "") -> None:
    """Run the command of a message as a person would: it is the only one in it."""
    assert error.cure
    assert f"`{error.cure}`" in str(error)
    subprocess.run(
        ["sh", "-c", error.cure.replace("sudo ", "")], input=stdin, text=True, check=True, capture_output=True
    )


def openssl(*words: str, of: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=of, check=True, capture_output=True).stdout


def explicit(key: ec.EllipticCurvePrivateKey) -> bytes:
    return openssl("ec", "-param_enc", "explicit", of=key_pem(key))


def encrypted(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def _takes_explicit_curves() -> bool:
    """Return whether the library reads such a key as one of the curve's name, as cryptography 49 does."""
    try:
        load_pem_private_key(explicit(KEY), None)
    except ValueError:
        return False
    return True


EXPLICIT = "spells its curve out"
KEYS: dict[str, Callable[[], bytes]] = {
    "DER": lambda: KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "the format of OpenSSH": lambda: KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
    EXPLICIT: lambda: explicit(KEY),
    "indented": lambda: b"    " + key_pem(KEY).replace(b"\n", b"\n    "),
    "line breaks are lost": lambda: key_pem(KEY).replace(b"\n", b"\\n"),
    "UTF-16": lambda: key_pem(KEY).decode().encode("utf-16"),
}


@pytest.mark.parametrize("said", KEYS)
def test_a_key_is_converted_by_the_command_that_is_printed(tmp_path: Path, said: str) -> None:
    path = tmp_path / "the key.pem"
    path.write_bytes(KEYS[said]())
    path.chmod(0o640)
    if said == EXPLICIT and _takes_explicit_curves():
        assert keys.public_key(keys.load(path)) == keys.public_key(KEY)
        return
    with pytest.raises(CertificateError, match=said) as refused:
        keys.load(path)
    typed(refused.value)
    assert keys.public_key(keys.load(path)) == keys.public_key(KEY)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert not path.stat().st_mode & 0o037


def test_an_encrypted_key_asks_for_its_password(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(encrypted(KEY))
    with pytest.raises(CertificateError, match=r"is encrypted; .* converts it \(it asks for the password\)") as refused:
        keys.load(path)
    # The test has no terminal to be asked at.
    command = refused.value.cure.replace("sudo ", "").replace("openssl pkey", "openssl pkey -passin pass:secret")
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert keys.public_key(keys.load(path)) == keys.public_key(KEY)


def test_a_key_that_no_command_converts_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    made = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made)
    with pytest.raises(CertificateError, match="expected EC or RSA") as refused:
        keys.load(path)
    typed(refused.value)
    assert isinstance(keys.load(path), ec.EllipticCurvePrivateKey)
    assert (tmp_path / "key.pem.old").read_bytes() == made


CERTIFICATES: dict[str, bytes] = {
    "it looks like DER": LEAF.der,
    "it is PKCS#7 in DER": pkcs7.serialize_certificates([LEAF.certificate], Encoding.DER),
    "it is PKCS#7, ": pkcs7.serialize_certificates([LEAF.certificate], Encoding.PEM),
    "its lines are indented": b"    " + LEAF.pem.replace(b"\n", b"\n    "),
    "its line breaks are lost": LEAF.pem.replace(b"\n", b" "),
    "its line breaks are lost,": b'"' + (LEAF.pem + CA.pem).replace(b"\n", b"\\n") + b'"\n',
    "its line breaks are lost, ": LEAF.pem.replace(b"\n", b"\r"),
    "it is UTF-16": (LEAF.pem + CA.pem).decode().encode("utf-16"),
    "it is UTF-16,": LEAF.pem.decode().encode("utf-16-le"),
}


@pytest.mark.parametrize("said", CERTIFICATES)
def test_a_certificate_is_converted_by_the_command_that_is_printed(tmp_path: Path, said: str) -> None:
    path = tmp_path / "the certificate.pem"
    path.write_bytes(CERTIFICATES[said])
    with pytest.raises(CertificateError, match=said.strip()) as refused:
        certificate.load(path)
    typed(refused.value)
    loaded = certificate.load(path)
    assert loaded.leaf == LEAF.certificate
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_certificate_of_an_explicit_curve_fits_the_converted_key(tmp_path: Path) -> None:
    (tmp_path / "explicit.pem").write_bytes(explicit(KEY))
    request = ("req", "-x509", "-new", "-subj", "/CN=device-1", "-key", str(tmp_path / "explicit.pem"))
    (tmp_path / "cert.pem").write_bytes(openssl(*request))
    found = certificate.load(tmp_path / "cert.pem")
    # The library refuses the key of such a certificate, up to version 43 at least.
    assert found.public_key == keys.public_key(KEY)
    assert isinstance(found.leaf, x509.Certificate)
