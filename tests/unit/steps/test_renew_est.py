# SPDX-License-Identifier: Apache-2.0
"""Step 2 at an authority of the operator's own: with the certificate in use, and nothing of the tenant."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from pytest_mock import MockerFixture

from tedge_cert.config import settings
from tedge_cert.device import state
from tedge_cert.device.connection_settings import est_of
from tedge_cert.x509 import certificate
from unit import hardware, recipes
from unit.certificates import Made, make, make_for
from unit.connected import certify, hurry, instance_of, key_file, outcome
from unit.est_authority import Answer, EstAuthority, first_certificate
from unit.local_device import LocalDevice

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.fixture
def device(local_device: LocalDevice, authority: EstAuthority) -> LocalDevice:
    """A device with a certificate of that authority, and a tenant that is not there."""
    pem, key = first_certificate(authority, local_device.device_id)
    local_device.certificate.write_bytes(pem)
    key_file(local_device).write_bytes(key)
    file = local_device.directory / "tedge.toml"
    file.write_text(file.read_text() + authority.settings)
    return local_device


def ask(device: LocalDevice, by_unit: bool = False) -> tuple[int, str]:
    return outcome(lambda: recipes.renew(instance_of(device), by_unit=by_unit, ca="est"))


def test_renews_with_its_certificate_and_its_chain(device: LocalDevice, authority: EstAuthority) -> None:
    before = len(device.tenant.state()["requests"])
    assert ask(device) == (0, "")
    (asked,) = authority.asked
    current = certificate.load(device.certificate)
    assert (asked.path, asked.shown) == ("/.well-known/est/devices/simplereenroll", current.der)
    assert "authorization" not in asked.headers
    new = certificate.load(device.candidate)
    # The answer is the leaf alone; the present file has its issuer.
    assert [each.subject for each in new.chain] == [authority.issuing.certificate.subject]
    assert len(device.tenant.state()["requests"]) == before


def test_shows_its_certificate_to_a_server_that_asks_late(device: LocalDevice, authority: EstAuthority) -> None:
    authority.asks_late()
    assert ask(device) == (0, "")
    assert authority.asked[-1].shown == certificate.load(device.certificate).der


@pytest.mark.parametrize("kind", ["TPM", "token"])
def test_a_key_in_hardware_registers_and_renews(
    local_device: LocalDevice, authority: EstAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Python's own TLS shows the certificate with it."""
    device, file = local_device, local_device.directory / "tedge.toml"
    file.write_text(file.read_text() + authority.settings)
    with ExitStack() as running:
        if kind == "TPM":
            shared = running.enter_context(hardware.shared_tpm(tmp_path))
            variables = {**hardware.tpm_variables(tmp_path, "tabrmd"), **shared}
            hardware.make_tpm_key(key_file(device), variables, "EC")
        elif hardware.has_token_provider():
            variables = hardware.software_token(tmp_path)
            hardware.token_key(key_file(device), "pkcs11:token=gateway;object=EC;type=private")
        else:
            pytest.skip("pkcs11-provider is not installed")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        before = key_file(device).read_bytes()
        words = f"tedge-cert-download c8y --ca est --device-id {device.device_id}"
        registered = device.run(words, DEVICE_ONE_TIME_PASSWORD="secret-1")
        assert registered.exit == 0, registered.stderr
        renewed = device.run("tedge-cert-renew c8y --ca est")
    assert renewed.exit == 0, renewed.stderr
    current, new = certificate.load(device.certificate), certificate.load(device.candidate)
    assert authority.asked[-1].shown == current.der
    assert (new.public_key, key_file(device).read_bytes()) == (current.public_key, before)


@pytest.mark.parametrize("fault", ["", "down", "huge", "foreign", "of the same name", "garbage"])
def test_the_chain_comes_from_the_authority_where_the_file_has_none(
    device: LocalDevice, authority: EstAuthority, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    authority.takes_leaf_alone()
    device.certificate.write_bytes(certificate.load(device.certificate).leaf.public_bytes(Encoding.PEM))
    twin = make(authority.issuing.certificate.subject)
    answers: dict[str, Answer | list[Made]] = {
        "": [authority.root, twin, authority.issuing],
        "down": Answer(503),
        "huge": [make("x")] * 101,
        "foreign": [make("x")],
        "of the same name": [twin],
        "garbage": Answer(200, b"nonsense"),
    }
    authority.cacerts = answers[fault]
    assert ask(device) == (0, "")
    new = certificate.load(device.candidate)
    said = capsys.readouterr().err
    if fault:
        assert new.chain == ()
        assert "comes without the one of its issuer, CN=ACME devices" in said
    else:
        assert list(new.chain) == [authority.issuing.certificate, authority.root.certificate]
        assert "comes without" not in said


def test_waits_for_approval_with_the_same_request(device: LocalDevice, authority: EstAuthority) -> None:
    authority.answers = [Answer(202, b"wait", {"Retry-After": "600"}), Answer(503), Answer(202)]
    said = [ask(device, by_unit=True) for _ in range(4)]
    assert [code for code, _ in said] == [1, 1, 1, 0]
    host = f"the authority localhost:{authority.port}"
    assert (
        f"to be asked again in 600 s: wait; the request waits for approval at {host}, and is sent again" in said[0][1]
    )
    first, *others = (each.csr for each in authority.enrolments())
    assert others == [first] * 3
    # Once it is answered, the next request is another one.
    device.candidate.unlink()
    assert ask(device)[0] == 0
    assert authority.enrolments()[-1].csr != first


def test_waiting_is_an_event_of_its_own_and_waits_as_long_as_asked(
    device: LocalDevice, authority: EstAuthority
) -> None:
    authority.answers = [Answer(202, b"", {"Retry-After": "600"})]
    ask(device, by_unit=True)
    left = state.load(instance_of(device).state_file)
    assert left.result == "waits-for-approval"
    assert 600 <= left.next_attempt_s - left.at_s <= 661


def test_a_denied_request_is_not_sent_again(device: LocalDevice, authority: EstAuthority) -> None:
    authority.answers = [Answer(202), Answer(403, b"denied")]
    for _ in range(3):
        ask(device)
    first, second, third = (each.csr for each in authority.enrolments())
    assert first == second
    assert third != first


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer(401, b"", {"WWW-Authenticate": 'Basic realm="x"'}),
            "wants user and password too: give them in the file",
        ),
        (Answer(401, b"", {"WWW-Authenticate": 'Digest realm="x"'}), "wants HTTP Digest, which is not spoken here"),
        (Answer(401, b"Proof of Possession Mismatch."), "bound to the TLS connection (RFC 7030 section 3.5)"),
        (Answer(401), "does not take /"),
        (Answer(400, b"CSR Attributes missing in request."), "wants attributes in requests that are not sent here"),
        (Answer(400, b"no"), "could not read the request"),
        (Answer(403, b"<html>Forbidden</html>"), "something before the authority localhost"),
        *((Answer(status, b"Subject fields must be identical"), "what did it change?") for status in (400, 403)),
        (Answer(403, b"no"), "does not allow it"),
        (Answer(404), "est.url has to end before the operation"),
        (Answer(429), "is busy"),
        (Answer(301, b"", {"Location": "https://x"}), "which is not followed"),
        (Answer(200), "with an empty body"),
    ],
)
def test_refusals_name_the_authority_and_the_cure(
    device: LocalDevice, authority: EstAuthority, answer: Answer, said: str
) -> None:
    authority.answers = [answer]
    code, text = ask(device)
    assert code == 1
    assert said in text
    assert "the tenant" not in text
    assert not device.candidate.exists()


@pytest.mark.parametrize(
    ("extension", "said"),
    [
        (x509.ExtendedKeyUsage([SERVER]), "has no clientAuth"),
        (x509.BasicConstraints(ca=True, path_length=None), "certificate of an authority"),
        (x509.KeyUsage(False, False, True, False, False, False, False, False, False), "has no digitalSignature"),
        (x509.ExtendedKeyUsage([SERVER, CLIENT]), ""),
    ],
)
def test_a_certificate_for_another_purpose_is_not_used(
    device: LocalDevice, authority: EstAuthority, extension: x509.ExtensionType, said: str
) -> None:
    authority.extensions = [extension]
    code, text = ask(device)
    assert code == (1 if said else 0)
    assert said in text
    assert device.candidate.exists() is not bool(said)


def test_a_changed_subject_is_told_and_another_name_is_not_used(
    device: LocalDevice, authority: EstAuthority, capsys: pytest.CaptureFixture[str]
) -> None:
    oid = x509.NameOID
    parts = [x509.NameAttribute(oid.ORGANIZATION_NAME, "Other"), x509.NameAttribute(oid.COMMON_NAME, device.device_id)]
    authority.subject = x509.Name(parts)
    assert ask(device)[0] == 0
    assert f"changed the subject: it is O=Other, CN={device.device_id}" in capsys.readouterr().err
    authority.subject = x509.Name([x509.NameAttribute(oid.COMMON_NAME, "stranger")])
    code, text = ask(device)
    assert code == 1
    assert "issued to stranger" in text


def test_a_certificate_that_the_authority_does_not_know(device: LocalDevice, authority: EstAuthority) -> None:
    made = make_for(10, name=device.device_id)
    device.certificate.write_bytes(made.pem)
    key_file(device).write_bytes(made.key_pem)
    code, text = ask(device, by_unit=True)
    assert code == 1
    assert "TLS alert: unknown ca" in text
    assert f"does not know its issuer: is its chain in {device.certificate}?" in text
    assert authority.asked == []
    # A refusal, not a missing answer: the next hours do not ask again.
    left = state.load(instance_of(device).state_file)
    assert left.result == "request-refused"
    assert left.next_attempt_s > left.at_s


def test_user_and_password_go_with_the_certificate(device: LocalDevice, authority: EstAuthority) -> None:
    file = device.directory / "est-credentials.toml"
    toml = device.directory / "tedge.toml"
    toml.write_text(toml.read_text() + f'credentials_path = "{file}"\n')
    file.write_text('[est]\nusername = "u"\npassword = "p"\nhost = "other.example"\n')
    code, text = ask(device)
    assert code == 1
    assert f"the password in {file} is for other.example, but est.url is localhost: nothing was sent" in text
    file.write_text('[est]\nusername = "u"\npassword = "p"\nhost = "localhost"\n')
    assert ask(device) == (0, "")
    assert authority.asked[-1].headers["authorization"] == f"Basic {base64.b64encode(b'u:p').decode()}"


def test_without_an_address(local_device: LocalDevice, authority: EstAuthority) -> None:
    pem, key = first_certificate(authority, local_device.device_id)
    local_device.certificate.write_bytes(pem)
    key_file(local_device).write_bytes(key)
    code, text = ask(local_device)
    assert code == 1
    assert "no value for 'est.url'; set one with `sudo tedge config set est.url <value>`" in text


def test_a_profile_has_an_authority_of_its_own(device: LocalDevice) -> None:
    file = device.directory / "tedge.toml"
    text = file.read_text() + 'renew_url = "https://renew.example"\nusername = "me"\n'
    file.write_text(text + '[c8y.profiles.p]\nurl = "x.example"\n[c8y.profiles.p.est]\nurl = "https://p.example/est"\n')
    plain, own = (est_of(settings.load(str(device.directory), each), "d") for each in ("", "p"))
    assert (plain.renewal.url_of(plain.renewal.base), plain.username) == ("https://renew.example/.well-known/est", "me")
    assert (own.enrolment, own.username) == (own.renewal, "me")
    assert (own.enrolment.host, own.enrolment.base) == ("p.example", "/est")


def test_two_profiles_have_two_authorities(device: LocalDevice, authority: EstAuthority, tmp_path: Path) -> None:
    place, file = tmp_path / "other", device.directory / "tedge.toml"
    place.mkdir()
    with EstAuthority(place) as other:
        pem, key = first_certificate(other, "device-2")
        (place / "cert.pem").write_bytes(pem)
        (place / "key.pem").write_bytes(key)
        own = f'est.url = "{other.url}"\nest.root_cert_path = "{other.trust}"\n'
        own += f'device.cert_path = "{place}/cert.pem"\ndevice.key_path = "{place}/key.pem"\n'
        own += 'bridge.topic_prefix = "c8y-p"\nproxy.bind.port = 8002\n'
        file.write_text(f'{file.read_text()}[c8y.profiles.p]\nurl = "p.test"\n{own}')
        asked = [device.run(f"tedge-cert-renew c8y {each} --ca est") for each in ("", "--profile p")]
    assert [each.exit for each in asked] == [0, 0], asked
    issuers = [certificate.load(each).chain[0] for each in (device.candidate, place / "cert.pem.new")]
    assert issuers == [each.issuing.certificate for each in (authority, other)]
    assert [len(each.enrolments()) for each in (authority, other)] == [1, 1]


def test_a_rehearsal_asks_for_nothing(device: LocalDevice, authority: EstAuthority) -> None:
    result = device.run("tedge-cert-renew c8y --ca est --dry-run")
    assert (result.exit, len(authority.enrolments())) == (0, 0)
    assert f"authority and clock: localhost:{authority.port} answers" in result.stdout
    assert "token" not in result.stdout


@pytest.fixture
def upload(device: LocalDevice) -> Iterator[Callable[[Made], None]]:
    """Let the tenant trust an authority, as its operator does, until the test ends."""
    address = f"https://127.0.0.1:{device.tenant.http_port}/tenant/tenants/t1/trusted-certificates"
    with requests.Session() as operator:
        operator.trust_env = False
        operator.auth, operator.verify = ("t1/admin", "secret"), str(device.tenant.server_ca)

        def upload(made: Made) -> None:
            body = {"certInPemFormat": made.pem.decode(), "autoRegistrationEnabled": True}
            assert operator.post(address, json=body, timeout=30).status_code == 201

        yield upload
        for each in device.tenant.state()["trusted"]:
            operator.delete(f"{address}/{each['fingerprint']}", timeout=30)


@pytest.mark.parametrize("uploaded", ["root", "issuing", "issuing of a leaf without its chain"])
def test_the_tenant_that_trusts_the_authority_takes_the_candidate(
    device: LocalDevice, authority: EstAuthority, upload: Callable[[Made], None], uploaded: str
) -> None:
    if uploaded.endswith("chain"):
        authority.takes_leaf_alone()
        device.certificate.write_bytes(certificate.load(device.certificate).leaf.public_bytes(Encoding.PEM))
        authority.cacerts = Answer(503)
    upload(authority.root if uploaded == "root" else authority.issuing)
    assert ask(device) == (0, "")
    candidate = device.candidate.read_bytes()
    assert candidate.count(b"BEGIN CERTIFICATE") == (1 if uploaded.endswith("chain") else 2)
    verified = device.run("tedge-cert-verify c8y")
    assert verified.exit == 0, verified.stderr
    assert device.certificate.read_bytes() == candidate
    assert not device.previous.exists()


def test_a_device_of_the_tenants_authority_moves(
    device: LocalDevice, authority: EstAuthority, upload: Callable[[Made], None]
) -> None:
    certify(device, days=20)
    before = certificate.load(device.certificate)
    authority.takes(device.tenant.device_ca)
    upload(authority.root)
    for words in ("renew --systemd c8y --ca est", "verify c8y"):
        done = device.run(f"tedge-cert-{words}")
        assert done.exit == 0, done.stderr
    after = certificate.load(device.certificate)
    assert (authority.asked[0].shown, after.public_key) == (before.der, before.public_key)
    assert after.leaf.issuer == authority.issuing.certificate.subject


@pytest.mark.parametrize(
    ("root", "issuing", "alert"),
    [
        ("ACME root 2", "ACME devices 2", "unknown ca"),
        ("ACME root", "ACME devices", "unknown ca"),
        # Its certificates do not name the key of their issuer; the chains have it.
        ("ACME root", "ACME devices", "unknown ca, no key named"),
        # A server that trusts a root of that name, which does not name its key.
        ("ACME root", "ACME devices", "decrypt error"),
    ],
)
def test_a_change_of_the_authority_waits_for_its_upload(
    device: LocalDevice,
    authority: EstAuthority,
    upload: Callable[[Made], None],
    mocker: MockerFixture,
    root: str,
    issuing: str,
    alert: str,
) -> None:
    upload(authority.root)
    if alert == "decrypt error":
        upload(make(authority.root.certificate.subject, extension=x509.BasicConstraints(ca=True, path_length=None)))
    before = device.certificate.read_bytes()
    authority.renew_itself(root, issuing)
    if "no key named" in alert:
        authority.extensions = [x509.BasicConstraints(ca=False, path_length=None)]
    assert ask(device) == (0, "")
    # The present file has the chain of the former one.
    chain = certificate.load(device.candidate).chain
    assert list(chain) == [authority.issuing.certificate, authority.root.certificate]
    hurry(mocker)
    code, text = outcome(lambda: recipes.verify(instance_of(device)))
    assert code == 1
    assert f"is issued by {certificate.load(device.candidate).issuer}, which" in text
    assert "Trusted certificates), by hand or by `tedge cert upload c8y --authority`" in text
    assert f"TLS alert: {alert.partition(',')[0]}" in text
    recipes.clean_up(instance_of(device))
    assert (device.certificate.read_bytes(), device.candidate.exists()) == (before, True)
    uploaded = device.run("tedge-cert-upload c8y --authority", C8Y_USER="admin", C8Y_PASSWORD="secret")
    assert uploaded.exit == 0, uploaded.stderr
    if alert != "decrypt error":
        assert outcome(lambda: recipes.verify(instance_of(device))) == (0, "")


def test_an_expired_device_is_told_of_its_factory_certificate(device: LocalDevice, authority: EstAuthority) -> None:
    pem, key = first_certificate(authority, device.device_id, 0)
    device.certificate.write_bytes(pem)
    key_file(device).write_bytes(key)
    factory, file = device.directory / "factory.pem", device.directory / "tedge.toml"
    file.write_text(file.read_text() + f'bootstrap.cert_path = "{factory}"\n')
    without = device.run("tedge-cert-needs-renewal --systemd c8y")
    factory.write_bytes(pem)
    having = device.run("tedge-cert-needs-renewal --systemd c8y")
    assert (without.exit, having.exit) == (255, 255)
    assert "get a new one-time password" in without.stderr
    assert f"the factory certificate {factory} gets a new one: `sudo tedge cert download c8y --ca est" in having.stderr
