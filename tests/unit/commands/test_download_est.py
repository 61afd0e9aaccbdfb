# SPDX-License-Identifier: Apache-2.0
"""Registration with an authority of the operator's own: by password, by factory certificate, by both."""

import base64

import pytest
from cryptography import x509
from cryptography.x509.oid import AttributeOID
from pytest_mock import MockerFixture

from tedge_cert.commands import connect
from tedge_cert.x509 import certificate
from unit.connected import configure, hurry, instance_of, outcome
from unit.est_authority import Answer, EstAuthority, first_certificate
from unit.local_device import LocalDevice, Result


@pytest.fixture
def device(local_device: LocalDevice, authority: EstAuthority) -> LocalDevice:
    """A device without a certificate, whose tenant does not know it."""
    factory = local_device.directory / "factory.pem"
    file = local_device.directory / "tedge.toml"
    paths = f'bootstrap.cert_path = "{factory}"\nbootstrap.key_path = "{factory}.key"\n'
    file.write_text(file.read_text() + authority.settings + paths)
    return local_device


def put_factory_certificate(device: LocalDevice, authority: EstAuthority) -> bytes:
    """Give the device a factory certificate; return its leaf in DER."""
    pem, key = first_certificate(authority, "serial-4711", 3650)
    file = device.directory / "factory.pem"
    file.write_bytes(pem)
    file.with_name("factory.pem.key").write_bytes(key)
    return certificate.load(file).der


def register(device: LocalDevice, options: str = "", password: str = "secret-1") -> Result:
    words = f"tedge-cert-download c8y --ca est --device-id {device.device_id} {options}"
    # An empty variable is one that is not set.
    return device.run(words, DEVICE_ONE_TIME_PASSWORD=password)


def login(user: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:secret-1'.encode()).decode()}"


@pytest.mark.parametrize("password_in", ["basic", "challenge", "both"])
def test_by_password(device: LocalDevice, authority: EstAuthority, password_in: str) -> None:
    file = device.directory / "tedge.toml"
    file.write_text(file.read_text() + f'password_in = "{password_in}"\nusername = "batch-7"\n')
    result = register(device)
    assert result.exit == 0, result.stderr
    assert "Environment=RENEW_WITH_CA=est lets the timer renew it at the same authority" in result.stderr
    (asked,) = authority.enrolments()
    assert (asked.path, asked.shown) == ("/.well-known/est/devices/simpleenroll", None)
    uses_challenge = password_in != "basic"
    assert asked.headers.get("authorization") == (None if password_in == "challenge" else login("batch-7"))
    attributes = x509.load_der_x509_csr(asked.csr).attributes
    found = [each.value for each in attributes if each.oid == AttributeOID.CHALLENGE_PASSWORD]
    assert found == ([b"secret-1"] if uses_challenge else [])
    # Every user may read the last request, so one with the password is not kept there.
    assert (device.directory / "certs" / "device.csr").exists() is not uses_challenge
    chain = certificate.load(device.certificate).chain
    assert list(chain) == [authority.issuing.certificate, authority.root.certificate]


@pytest.mark.parametrize("password", ["", "secret-1"])
def test_by_factory_certificate(device: LocalDevice, authority: EstAuthority, password: str) -> None:
    factory = put_factory_certificate(device, authority)
    result = register(device, password=password)
    assert result.exit == 0, result.stderr
    (asked,) = authority.enrolments()
    assert asked.shown == factory
    assert asked.headers.get("authorization") == (login(device.device_id) if password else None)
    assert certificate.load(device.certificate).validity.device_id == device.device_id


def test_with_neither(device: LocalDevice, authority: EstAuthority) -> None:
    result = register(device, password="")
    assert result.exit == 1
    assert f"no one-time password of the authority localhost:{authority.port}, and no factory" in result.stderr
    assert "--url names the tenant" in register(device, "--url x.example").stderr
    assert authority.asked == []


def test_without_an_address(local_device: LocalDevice) -> None:
    result = register(local_device)
    assert result.exit == 1
    assert "no value for 'est.url'; set one with `sudo tedge config set est.url <value>`" in result.stderr


def test_a_wrong_password_is_tried_once(device: LocalDevice, authority: EstAuthority) -> None:
    authority.answers = [Answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})]
    result = register(device)
    assert result.exit == 1
    assert f"does not take user {device.device_id} with this password" in result.stderr
    assert "the tenant" not in result.stderr
    assert len(authority.enrolments()) == 1
    assert not device.certificate.exists()


def test_waits_for_approval_with_the_same_request(device: LocalDevice, authority: EstAuthority) -> None:
    authority.answers = [Answer(202, b"", {"Retry-After": "0"}), Answer(202, b"", {"Retry-After": "600"})]
    result = register(device, "--retry-every 0s --max-timeout 30s")
    assert result.exit == 1
    assert f"the request waits for approval at the authority localhost:{authority.port}" in result.stderr
    assert f"`sudo tedge cert download c8y --ca est --device-id {device.device_id}` goes on" in result.stderr
    assert register(device).exit == 0
    first, *others = (each.csr for each in authority.enrolments())
    assert others == [first, first]


def test_connect_names_the_authority_that_the_tenant_does_not_know(device: LocalDevice, mocker: MockerFixture) -> None:
    assert register(device).exit == 0
    hurry(mocker)
    code, said = outcome(lambda: connect.connect(instance_of(device), offline=False))
    assert code == 1
    issuer = certificate.load(device.certificate).issuer
    assert f"no bridge was configured: add the certificate of {issuer} to the trusted certificates" in said
    assert said.endswith("by `tedge cert upload c8y --authority`, then `sudo tedge connect c8y`")
    # Without such an authority, it is a certificate of another tenant.
    configure(device, "[est]", "[other]")
    code, said = outcome(lambda: connect.connect(instance_of(device), offline=False))
    assert (code, said.endswith("no bridge was configured")) == (1, True)
