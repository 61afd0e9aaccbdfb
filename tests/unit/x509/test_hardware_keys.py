# SPDX-License-Identifier: Apache-2.0
"""Keys in a TPM and in a token: their public key, and what is signed with them."""

import base64
import errno
import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pytest_mock import MockerFixture

from tedge_cert import processes
from tedge_cert.authority import self_signed
from tedge_cert.config import settings
from tedge_cert.disk import owners
from tedge_cert.errors import CertificateError, UnreadableError
from tedge_cert.hourly import pem
from tedge_cert.x509 import hardware_keys, keys, provider, requests, token
from tedge_cert.x509.certificate import Certificate
from tedge_cert.x509.hardware_keys import HardwareKey
from unit import hardware
from unit.certificates import key_pem, make, new_key

TPM = ("tpm-EC", "tpm-P384", "tpm-RSA")
TOKEN = ("token-EC", "token-RSA")
Parts = tuple[Path, dict[str, dict[str, str]]]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """A directory with a file for each kind of key, and the environment of each kind of hardware."""
    directory = tmp_path_factory.mktemp("hw")
    token = hardware.software_token(directory)
    with hardware.software_tpm(directory) as reached_by:
        tpm = hardware.tpm_variables(directory, reached_by)
        for each in (*TPM, *TOKEN):
            where, kind = each.split("-")
            if where == "tpm":
                hardware.make_tpm_key(directory / each, tpm, kind)
            else:
                hardware.token_key(directory / each, f"pkcs11:token=gateway;object={kind};type=private")
        yield directory, {"tpm": tpm, "token": token}


@pytest.fixture(autouse=True)
def results_of_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "_directory", str(tmp_path))
    monkeypatch.setattr(hardware_keys, "_unlocked", set())


@pytest.fixture
def key_file(parts: Parts, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a key, with the environment in which it works."""
    if request.param in TOKEN and not hardware.has_token_provider():
        pytest.skip("pkcs11-provider is not installed")
    for name, value in parts[1][request.param.split("-")[0]].items():
        monkeypatch.setenv(name, value)
    return parts[0] / str(request.param)


@pytest.mark.parametrize("key_file", [*TPM, *TOKEN], indirect=True)
def test_signs_requests(key_file: Path) -> None:
    key = keys.load(key_file)
    assert isinstance(key, hardware_keys.HardwareKey)
    request = x509.load_der_x509_csr(requests.first_request(key, "gateway-1", "ACME", "IoT"))
    assert (request.is_signature_valid, request.subject.rfc4514_string()) == (True, "OU=IoT,O=ACME,CN=gateway-1")
    assert request.subject.public_bytes() == requests.first_subject("gateway-1", "ACME", "IoT").public_bytes()


@pytest.mark.parametrize("key_file", [*TPM, *TOKEN], indirect=True)
def test_signs_certificates_and_repeats_them(key_file: Path, tmp_path: Path) -> None:
    key, subject = keys.load(key_file), requests.first_subject("gateway-1", "ACME", "")
    made = self_signed.first(key, subject, settings.load(str(tmp_path)))
    public = made.leaf.public_key()
    # Of the key in hardware, in the signature as well as in the certificate.
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(made.leaf.signature, made.leaf.tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(made.leaf.signature, made.leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    (tmp_path / "cert.pem").write_bytes(made.pem)
    assert keys.load_for(key_file, made, tmp_path / "cert.pem") == key
    assert x509.load_der_x509_csr(requests.renewal_request(key, made)).subject == made.leaf.subject
    assert self_signed.successor(key, made, settings.load(str(tmp_path))).leaf.subject == made.leaf.subject


@pytest.mark.parametrize("key_file", ["tpm-EC"], indirect=True)
def test_a_renewal_repeats_the_bytes_of_the_names(key_file: Path) -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("gateway-1.example.com")])
    current = Certificate(make(extension=names).certificate)
    request = x509.load_der_x509_csr(requests.renewal_request(keys.load(key_file), current))
    assert request.is_signature_valid
    assert request.subject.public_bytes() == current.leaf.subject.public_bytes()
    assert request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names


@pytest.mark.parametrize("kind", TPM)
def test_the_public_key_needs_no_tpm(parts: Parts, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = hardware.openssl(f"pkey -in {parts[0] / kind} -pubout -outform DER", parts[1]["tpm"])
    monkeypatch.setattr(processes, "PATH", "/nowhere")
    assert keys.public_key(keys.load(parts[0] / kind)) == said


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda der: der[:60], "cannot be read"),
        (lambda der: der.replace(b"\xa0\x03\x01\x01\x01", b"\xa0\x03\x01\x01\x00"), "with a password of its own"),
        (lambda der: der.replace(b"\x00\x23\x00\x0b", b"\x00\x25\x00\x0b"), "it is of the kind 0x0025"),
    ],
)
def test_a_damaged_file_is_named(parts: Parts, tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    (_, der, _), *_ = pem.blocks((parts[0] / "tpm-EC").read_bytes())
    body = base64.encodebytes(damage(der)).decode()
    (tmp_path / "key.pem").write_text(f"-----BEGIN TSS2 PRIVATE KEY-----\n{body}-----END TSS2 PRIVATE KEY-----\n")
    with pytest.raises(CertificateError, match=f"the private key {tmp_path}/key.pem is a key of a TPM.*{said}"):
        keys.load(tmp_path / "key.pem")


def test_without_provider_the_cause_is_named(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENSSL_CONF", raising=False)
    key = keys.load(parts[0] / "tpm-EC")
    assert isinstance(key, HardwareKey)
    with pytest.raises(
        UnreadableError, match=r"tpm-EC: OpenSSL is not set up for it; `sudo tedge hsm create-key --tpm`"
    ):
        key.sign(b"")
    with pytest.raises(UnreadableError, match=r"token-EC: OpenSSL is not set up for tokens"):
        keys.load(parts[0] / "token-EC")


@pytest.mark.parametrize("key_file", ["token-EC"], indirect=True)
def test_a_key_that_is_not_in_the_token_is_named(key_file: Path, tmp_path: Path) -> None:
    hardware.token_key(tmp_path / "key.pem", "pkcs11:token=gateway;object=other;type=private")
    with pytest.raises(UnreadableError, match=r"there is no key pkcs11:object=other in the token \(it has .*object=EC"):
        keys.load(tmp_path / "key.pem")


@pytest.mark.parametrize("key_file", TPM, indirect=True)
def test_a_new_key_is_of_the_same_kind(key_file: Path, tmp_path: Path) -> None:
    present = keys.load(key_file)
    keys.create_like(present, tmp_path / "key.pem", owners.access_of(key_file.stat()))
    made = keys.load(tmp_path / "key.pem")
    assert isinstance(made, HardwareKey)
    assert (made.kind, len(made.public_key)) == (hardware_keys.TPM, len(keys.public_key(present)))
    assert made.public_key != keys.public_key(present)
    request = x509.load_der_x509_csr(requests.first_request(made, "gateway-1", "ACME", "IoT"))
    assert request.is_signature_valid
    with pytest.raises(FileExistsError):
        keys.create_like(present, tmp_path / "key.pem", owners.access_of(key_file.stat()))


def test_no_new_key_is_made_of_a_kind_that_create_key_does_not_have(tmp_path: Path) -> None:
    public = ec.generate_private_key(ec.SECP521R1()).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(CertificateError, match="expected one on P-256 or P-384, or RSA"):
        hardware_keys.kind_of(HardwareKey(tmp_path / "key.pem", hardware_keys.TOKEN, der))


def test_a_file_is_no_key_in_hardware() -> None:
    kinds = [hardware_keys.kind_in(each) for each in (key_pem(new_key()), make().pem, b"", b"TSS2 PRIVATE KEY")]
    assert kinds == [b""] * 4


def test_the_key_is_of_no_use_on_another_machine(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.load(parts[0] / "tpm-EC")
    assert isinstance(key, HardwareKey)
    with hardware.software_tpm(tmp_path) as reached_by:
        for name, value in hardware.tpm_variables(tmp_path, reached_by).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UnreadableError, match=ANSWERS["cleared"][3]):
            key.sign(b"")


_LOCKOUT, _OWNER = 0x4000000A, 0x40000001
# A command, the hierarchy that it is for, its parameters, and what is said of the key then.
ANSWERS = {
    "cleared": (
        0x126, _LOCKOUT, b"",
        "did not make this key, or was cleared since.*`sudo tedge hsm create-key c8y --tpm --force-new` makes another",
    ),
    "an owner's password": (0x129, _OWNER, b"\0\2pw", "`sudo tpm2_changeauth -c owner -p PASSWORD`"),
    "locked out": (0x13A, _LOCKOUT, struct.pack(">III", 0, 1000, 1000), "locked out .*`sudo tpm2_dictionarylockout"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ANSWERS)
def test_what_the_tpm_answers_is_named(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, handle, parameters, said = ANSWERS[fault]
    with hardware.software_tpm(tmp_path) as reached_by:
        variables = hardware.tpm_variables(tmp_path, reached_by)
        hardware.make_tpm_key(tmp_path / "key.pem", variables, "EC")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        key = keys.load(tmp_path / "key.pem")
        assert isinstance(key, HardwareKey)
        assert key.sign(b"")
        hardware.tell_tpm(reached_by, command, handle, parameters)
        with pytest.raises(UnreadableError, match=f"{tmp_path}/key.pem: the TPM.*{said}"):
            key.sign(b"")


@pytest.mark.parametrize(
    ("code", "mode", "said"),
    [
        (errno.ENOENT, 0o660, "there is no TPM at NODE; switch it on in the firmware"),
        (errno.EACCES, 0o660, "user tedge may not open the TPM NODE; `sudo tedge hsm create-key --tpm` lets it"),
        (errno.EACCES, 0o600, "the TPM NODE is shut to group tss; expected mode 0660 .*`sudo udevadm trigger .* NODE`"),
        (errno.EBUSY, 0o660, "another program uses the TPM NODE, which serves one at a time; .* device:/dev/tpmrm0`"),
        (errno.EIO, 0o660, "the TPM NODE cannot be opened: Input/output error"),
    ],
)
def test_a_device_that_cannot_be_opened_is_named(
    code: int, mode: int, said: str, tmp_path: Path, mocker: MockerFixture
) -> None:
    node, open_file = tmp_path / "tpm0", os.open
    node.touch()
    node.chmod(mode)

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if path == str(node):
            raise OSError(code, os.strerror(code))
        return open_file(path, flags, mode)

    mocker.patch("os.open", refuse)
    mocker.patch("grp.getgrnam").return_value.gr_gid = node.stat().st_gid
    assert re.match(said, hardware_keys.why_no_tpm(f"device:{node}").replace(str(node), "NODE"))


@pytest.mark.parametrize("printed", ["010203", "01:02:03", "66051 (0x01:02:03)"])
def test_an_id_is_read_as_any_version_of_the_tool_prints_it(printed: str, mocker: MockerFixture) -> None:
    listed = f"Private Key Object; EC\n  label:      tedge\n  ID:         {printed}\n"
    mocker.patch.object(token, "_run", return_value=listed)
    assert [each.identifier for each in token.keys("", token.Token("0x0"), None)] == ["010203"]


def test_a_missing_group_of_the_tpm_is_named_with_its_package(mocker: MockerFixture) -> None:
    mocker.patch("grp.getgrnam", side_effect=KeyError)
    said = [hardware_keys.why_no_tpm("tabrmd:bus_name=no.daemon")]
    mocker.patch("os.open", side_effect=PermissionError)
    said.append(hardware_keys.why_no_tpm("device:/dev/tpmrm0"))
    for each in said:
        assert re.match(r"there is no group tss, .* `sudo apt install tpm-udev`, then `sudo tedge hsm create-key", each)


def test_a_tpm_that_is_gone_is_named(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**parts[1]["tpm"], "TPM2OPENSSL_TCTI": "swtpm:path=/nowhere"}.items():
        monkeypatch.setenv(name, value)
    key = keys.load(parts[0] / "tpm-EC")
    assert isinstance(key, HardwareKey)
    with pytest.raises(UnreadableError, match=r"the TPM does not answer \(device.tpm.tcti swtpm:path=/nowhere\)"):
        key.sign(b"")
