# SPDX-License-Identifier: Apache-2.0
"""The private key of the device, and the requests made with it."""

import re
import subprocess
from pathlib import Path

import pytest
from asn1crypto import csr as asn1_csr
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InternalError
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.name import _ASN1Type
from pytest_mock import MockerFixture

from tedge_cert.disk.files import CallerFile
from tedge_cert.errors import CertificateError
from tedge_cert.x509 import keys, requests
from tedge_cert.x509.certificate import Certificate
from unit.certificates import Key, key_pem, make, name_of, new_key

RSA = rsa.generate_private_key(65_537, 2048)
EC = new_key()


@pytest.mark.parametrize("key", [EC, RSA, ec.generate_private_key(ec.SECP384R1())])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_loads_keys(tmp_path: Path, key: Key, form: PrivateFormat) -> None:
    from cryptography.hazmat.primitives.serialization import NoEncryption

    (tmp_path / "key.pem").write_bytes(b"a remark\n" + key.private_bytes(Encoding.PEM, form, NoEncryption()))
    assert keys.public_key(keys.load(tmp_path / "key.pem")) == keys.public_key(key)


UNKNOWN_CURVE = (
    b"-----BEGIN PRIVATE KEY-----\n"
    + b"MC4CAQAwBQYDK2VxBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    + (b"\n-----END PRIVATE KEY-----\n")
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            None,
            "the private key {} is missing; a new key would not fit the certificate, so none is made: .*download c8y",
        ),
        (b"", "{} holds no private key in PEM: .*; expected PKCS#8 in PEM"),
        (b"garbage", "{} holds no private key in PEM"),
        (make().pem, "{} holds no private key in PEM"),
        (key_pem(EC)[:100], "{} holds no private key in PEM"),
        (UNKNOWN_CURVE, "{} holds no private key in PEM"),
        (
            EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
            "the private key {} is encrypted; expected PKCS#8 in PEM without password",
        ),
        (key_pem(ed448.Ed448PrivateKey.generate()), "{} is of a kind that cannot sign here; expected EC or RSA"),  # type: ignore[arg-type]
        (key_pem(dsa.generate_private_key(1024)), "{} is of a kind that cannot sign here"),  # type: ignore[arg-type]  # noqa: S505
    ],
)
def test_says_what_is_wrong_with_a_key(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CertificateError, match=said.format(path)):
        keys.load(path)


def test_an_error_that_the_library_does_not_know(tmp_path: Path, mocker: MockerFixture) -> None:
    """Raised by cryptography 49 for a key that 43 refuses with ValueError."""
    path = tmp_path / "key.pem"
    path.write_bytes(key_pem(EC))
    mocker.patch.object(keys, "load_pem_private_key", side_effect=InternalError("Unknown OpenSSL error", []))
    with pytest.raises(CertificateError, match=f"{path} holds no private key in PEM"):
        keys.load(path)


def test_a_directory_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(
        CertificateError, match="is not a regular file; expected owner tedge, group mosquitto, mode 0640"
    ):
        keys.load(tmp_path)


def test_makes_a_key_once(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    made = keys.load_or_create(path)
    content = path.read_bytes()
    assert content.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert isinstance(made, ec.EllipticCurvePrivateKey)
    assert made.curve.name == "secp256r1"
    assert path.stat().st_mode & 0o777 == 0o640
    assert keys.public_key(keys.load_or_create(path)) == keys.public_key(made)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_never_overwrites_a_key_however_bad(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(CertificateError, match="no private key"):
        keys.load_or_create(path)
    assert path.read_bytes() == content


def test_a_link_into_nowhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CertificateError, match="is missing"):
        keys.load_or_create(tmp_path / "key.pem")
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_must_be_that_of_the_certificate(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(key_pem(EC))
    keys.load_for(path, Certificate(make(key=EC).certificate), Path("/c.pem"))
    words = f"the private key {path} is not the one of the certificate /c.pem (device.key_path and device.cert_path"
    with pytest.raises(CertificateError, match=re.escape(words)):
        keys.load_for(path, Certificate(make().certificate), Path("/c.pem"))


def openssl_accepts(request: bytes) -> bool:
    pem = requests.pem_of(request)
    assert all(len(line) <= 64 for line in pem.splitlines())
    command = ["openssl", "req", "-verify", "-noout"]
    return subprocess.run(command, input=pem, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("key", [EC, RSA])
def test_a_first_request(key: Key) -> None:
    request = requests.first_request(key, "device-1", "ACME", "IoT")
    parsed = x509.load_der_x509_csr(request)
    assert [each.value for each in parsed.subject] == ["device-1", "ACME", "IoT"]
    assert parsed.is_signature_valid
    assert openssl_accepts(request)


ODD = x509.Name(
    [
        x509.RelativeDistinguishedName(
            [
                x509.NameAttribute(x509.NameOID.COMMON_NAME, "device-1", _ASN1Type.BMPString),
                x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "7"),
            ]
        ),
        x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Ö", _ASN1Type.T61String)]),
        x509.RelativeDistinguishedName([x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "x")]),
    ]
)
ALTERNATIVES = x509.SubjectAlternativeName(
    [x509.DNSName("d.example"), x509.UniformResourceIdentifier("urn:d"), x509.RFC822Name("d@d.example")]
)


@pytest.mark.parametrize("key", [EC, RSA])
@pytest.mark.parametrize("subject", [name_of("device-1"), ODD, x509.Name([])])
@pytest.mark.parametrize("extension", [None, ALTERNATIVES, x509.BasicConstraints(ca=True, path_length=None)])
def test_a_renewal_repeats_the_subject_byte_for_byte(
    key: Key, subject: x509.Name, extension: x509.ExtensionType | None
) -> None:
    current = make(subject, key=key, extension=extension)
    request = requests.renewal_request(key, Certificate(current.certificate))
    before = asn1_x509.Certificate.load(current.der)["tbs_certificate"]
    after = asn1_csr.CertificationRequest.load(request)["certification_request_info"]
    assert after["subject"].dump() == before["subject"].dump()
    parsed = x509.load_der_x509_csr(request)
    assert parsed.is_signature_valid
    names = [each for each in parsed.extensions if isinstance(each.value, x509.SubjectAlternativeName)]
    assert [each.value for each in names] == ([extension] if extension is ALTERNATIVES else [])
    assert len(parsed.extensions) == len(names)
    assert openssl_accepts(request)


@pytest.mark.parametrize("label", [b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"])
def test_takes_a_request_made_by_others(tmp_path: Path, label: bytes) -> None:
    request = requests.first_request(EC, "device-1", "ACME", "IoT")
    pem = requests.pem_of(request).replace(b"CERTIFICATE REQUEST", label)
    (tmp_path / "device.csr").write_bytes(b"Certificate Request:\n  Data\n" + pem)
    assert requests.load_request(CallerFile.read(tmp_path / "device.csr"), EC) == request


def spoilt_request() -> bytes:
    request = requests.first_request(EC, "device-1", "ACME", "IoT")
    p256 = bytes.fromhex("06082a8648ce3d030107")
    return requests.pem_of(request.replace(p256, p256[:-1] + b"\x77"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the CSR {}: No such file or directory"),
        (b"", "{} holds no certificate signing request in PEM"),
        (make().pem, "{} holds no certificate signing request in PEM"),
        (spoilt_request(), "{} holds no certificate signing request in PEM"),
        (
            requests.pem_of(requests.first_request(new_key(), "device-1", "ACME", "IoT")),
            "the CSR {} was made with another key than the one of this device",
        ),
    ],
)
def test_refuses_requests_that_do_not_fit(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "device.csr"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CertificateError, match=said.format(path)):
        requests.load_request(CallerFile.read(path), EC)
