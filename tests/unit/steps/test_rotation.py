# SPDX-License-Identifier: Apache-2.0
"""A new private key with a new certificate: asked for, proved together, active together."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)
from pytest_mock import MockerFixture

from tedge_cert.device import rotation
from unit import recipes
from unit.certificates import key_pem, make_for, new_key
from unit.connected import (
    certify,
    configure,
    connect,
    hurry,
    instance_of,
    issue,
    key_file,
    outcome,
    rejected,
    serial_of,
    signing_request,
)
from unit.est_authority import Answer, EstAuthority, first_certificate
from unit.local_device import LocalDevice
from unit.pairs import candidate_key, promote_pair, want_new_keys
from unit.self_made import create, lengthen, upload
from unit.switching import verify


def due(device: LocalDevice) -> str:
    """A certificate that is due, and a renewal with a new key wanted."""
    want_new_keys(device)
    return certify(device)


def renew(device: LocalDevice, by_unit: bool = True, ca: str = "c8y") -> tuple[int, str]:
    return outcome(lambda: recipes.renew(instance_of(device), by_unit=by_unit, ca=ca))


def public(path: Path) -> bytes:
    """The public key of a private key, or of a certificate: as bytes, because older keys are no equals."""
    content = path.read_bytes()
    found = (
        x509.load_pem_x509_certificate(content) if b"CERTIFICATE" in content else load_pem_private_key(content, None)
    )
    return found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def asked(device: LocalDevice) -> int:
    """How often the tenant was asked for something."""
    return len(device.tenant.state()["requests"])


def files_of(device: LocalDevice) -> set[str]:
    return {each.name for each in device.certificate.parent.iterdir()} - {"device.csr"}


PAIR = {"cert.pem", "key.pem"}
WITH_CANDIDATE = PAIR | {"cert.pem.new", "key.pem.new"}


@pytest.mark.parametrize("bridge", [False, True])
def test_both_become_active_together(local_device: LocalDevice, mocker: MockerFixture, bridge: bool) -> None:
    hurry(mocker, BRIDGE_WAIT_S=20.0)
    old = due(local_device)
    if bridge:
        connect(local_device)
    key_file(local_device).chmod(0o600)
    former = key_file(local_device).read_bytes()
    assert renew(local_device) == (0, "")
    assert (serial_of(local_device.certificate), key_file(local_device).read_bytes()) == (old, former)
    assert files_of(local_device) == WITH_CANDIDATE
    assert public(candidate_key(local_device)) == public(local_device.candidate) != public(key_file(local_device))
    assert candidate_key(local_device).stat().st_mode & 0o777 == 0o600
    new = serial_of(local_device.candidate)
    made = candidate_key(local_device).read_bytes()
    assert verify(local_device) == (0, "")
    assert (serial_of(local_device.certificate), key_file(local_device).read_bytes()) == (new, made)
    assert (files_of(local_device), key_file(local_device).stat().st_mode & 0o777) == (PAIR, 0o600)
    if bridge:
        local_device.tenant.wait_connected(local_device.device_id, serial=new)


def test_on_the_command_line_for_one_renewal(local_device: LocalDevice) -> None:
    certify(local_device)
    result = local_device.run("tedge-cert-renew c8y --new-key")
    assert result.exit == 0, result.stderr
    assert f"made a new private key, {candidate_key(local_device)}" in result.stderr
    assert local_device.run("tedge-cert-verify c8y").exit == 0
    former = key_file(local_device).read_bytes()
    assert local_device.run("tedge-cert-renew c8y").exit == 0
    assert local_device.run("tedge-cert-verify c8y").exit == 0
    assert (key_file(local_device).read_bytes(), files_of(local_device)) == (former, PAIR)


def test_a_profile_differs(local_device: LocalDevice) -> None:
    certify(local_device)
    want_new_keys(local_device)
    configure(local_device, "[c8y]\n", "[c8y]\ncertificate.rotate_key = false\n")
    assert renew(local_device) == (0, "")
    assert not candidate_key(local_device).exists()


@pytest.mark.parametrize("kind", ["P-384", "RSA"])
def test_the_new_key_is_of_the_kind_of_the_old_one(local_device: LocalDevice, kind: str) -> None:
    key = ec.generate_private_key(ec.SECP384R1()) if kind == "P-384" else rsa.generate_private_key(65_537, 3072)
    key_file(local_device).write_bytes(key_pem(key))
    key_file(local_device).chmod(0o640)
    due(local_device)
    assert renew(local_device) == (0, "")
    new = public(candidate_key(local_device))
    made = load_der_public_key(new)
    if isinstance(made, ec.EllipticCurvePublicKey):
        assert (kind, made.curve.name) == ("P-384", "secp384r1")
    else:
        assert isinstance(made, rsa.RSAPublicKey)
        assert (kind, made.key_size) == ("RSA", 3072)
    assert verify(local_device) == (0, "")
    assert public(key_file(local_device)) == new


@pytest.mark.parametrize("fault", [{"do": "status", "status": 503, "body": ""}, {"do": "close"}])
def test_a_candidate_key_outlives_an_authority_that_is_away(
    local_device: LocalDevice, fault: dict[str, object]
) -> None:
    due(local_device)
    local_device.tenant.fault(where="est", device=local_device.device_id, **fault)
    requests = []
    for _ in range(2):
        assert renew(local_device)[0] == 1
        assert files_of(local_device) == PAIR | {"key.pem.new"}
        requests.append(x509.load_pem_x509_csr(instance_of(local_device).csr.read_bytes()).tbs_certrequest_bytes)
    made = candidate_key(local_device).read_bytes()
    assert requests[0] == requests[1]
    local_device.tenant.clear_faults()
    assert renew(local_device) == (0, "")
    assert candidate_key(local_device).read_bytes() == made
    assert verify(local_device) == (0, "")
    assert key_file(local_device).read_bytes() == made


@pytest.fixture
def est_device(local_device: LocalDevice, authority: EstAuthority) -> LocalDevice:
    """A device with a certificate of that authority, which is to get a new key at each renewal."""
    pem, key = first_certificate(authority, local_device.device_id)
    local_device.certificate.write_bytes(pem)
    key_file(local_device).write_bytes(key)
    key_file(local_device).chmod(0o640)
    file = local_device.directory / "tedge.toml"
    file.write_text(file.read_text() + authority.settings)
    return local_device


@pytest.mark.parametrize("goes_on", ["wanted", "off meanwhile"])
def test_an_est_authority_that_approves_later_gets_the_same_request(
    est_device: LocalDevice, authority: EstAuthority, goes_on: str
) -> None:
    authority.answers = [Answer(202), Answer(503), Answer(202)]
    assert est_device.run("tedge-cert-renew c8y --ca est --new-key").exit == 1
    if goes_on == "wanted":
        want_new_keys(est_device)
    made = candidate_key(est_device).read_bytes()
    assert [renew(est_device, by_unit=False, ca="est")[0] for _ in range(3)] == [1, 1, 0]
    first, *others = (each.csr for each in authority.enrolments())
    assert others == [first] * 3
    assert candidate_key(est_device).read_bytes() == made
    assert public(est_device.candidate) == public(candidate_key(est_device))


def test_an_authority_that_takes_no_new_key(est_device: LocalDevice, authority: EstAuthority) -> None:
    want_new_keys(est_device)
    authority.answers = [Answer(403, b"no"), Answer(403, b"no")]
    code, said = renew(est_device, ca="est")
    assert code == 1
    assert "an authority that takes none" in said
    assert "certificate.rotate_key false" in said
    made = candidate_key(est_device).read_bytes()
    assert renew(est_device, ca="est")[0] == 1
    assert candidate_key(est_device).read_bytes() == made
    # What the line advises; the candidate key is of no use then.
    configure(est_device, "rotate_key = true", "rotate_key = false")
    assert renew(est_device, ca="est") == (0, "")
    assert files_of(est_device) == PAIR | {"cert.pem.new"}
    assert public(est_device.candidate) == public(key_file(est_device))


def test_self_signed_waits_for_its_upload(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    old = create(local_device, 20, trusted=True)
    lengthen(local_device)
    want_new_keys(local_device)
    assert renew(local_device, ca="self-signed") == (0, "")
    new, made = serial_of(local_device.candidate), candidate_key(local_device).read_bytes()
    for _ in range(2):
        code, said = verify(local_device)
        assert (code, serial_of(local_device.certificate)) == (1, old)
        assert "not yet uploaded" in said
        assert renew(local_device, ca="self-signed") == (0, "")
        assert (serial_of(local_device.candidate), candidate_key(local_device).read_bytes()) == (new, made)
    assert upload(local_device).exit == 0
    assert verify(local_device) == (0, "")
    assert (serial_of(local_device.certificate), key_file(local_device).read_bytes()) == (new, made)
    assert files_of(local_device) == PAIR


REFUSALS: list[dict[str, object]] = [{"do": "connack", "code": 5}, {"do": "tls-revoked"}]


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_rejected_pair_is_not_used(
    local_device: LocalDevice, mocker: MockerFixture, fault: dict[str, object]
) -> None:
    hurry(mocker)
    old = due(local_device)
    former = key_file(local_device).read_bytes()
    assert renew(local_device) == (0, "")
    local_device.tenant.fault(where="mqtt", serials=[serial_of(local_device.candidate)], **fault)
    assert verify(local_device)[0] == 3
    assert (serial_of(local_device.certificate), key_file(local_device).read_bytes()) == (old, former)
    recipes.clean_up(instance_of(local_device))
    assert files_of(local_device) == PAIR | {"key.pem.new"}


def test_refused_after_the_promotion_both_go_back(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    old = due(local_device)
    former = key_file(local_device).read_bytes()
    assert renew(local_device) == (0, "")
    promote_pair(local_device)
    new = serial_of(local_device.certificate)
    local_device.tenant.fault(where="mqtt", do="connack", code=5, serials=[new])
    code, said = verify(local_device)
    assert (code, serial_of(local_device.certificate), key_file(local_device).read_bytes()) == (3, old, former)
    assert "the previous certificate is active again" in said
    assert files_of(local_device) == PAIR


def of_an_older_key(device: LocalDevice) -> None:
    """The candidate was asked for with a key that is not there any more."""
    candidate_key(device).write_bytes(key_pem(new_key()))


def of_the_present_key(device: LocalDevice) -> None:
    issue(device)


@pytest.mark.parametrize("spoil", [of_an_older_key, of_the_present_key])
def test_a_candidate_of_an_older_key_is_not_promoted(
    local_device: LocalDevice, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[LocalDevice], object]
) -> None:
    monkeypatch.setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef")
    old = due(local_device)
    assert renew(local_device) == (0, "")
    spoil(local_device)
    made = candidate_key(local_device).read_bytes()
    before = serial_of(local_device.candidate)
    code, _ = verify(local_device)
    assert (code, serial_of(local_device.certificate)) == (3, old)
    assert rejected(local_device)
    # The next run asks for another one, with the key that waits.
    assert renew(local_device) == (0, "")
    assert serial_of(local_device.candidate) != before
    assert candidate_key(local_device).read_bytes() == made
    assert verify(local_device) == (0, "")
    assert key_file(local_device).read_bytes() == made


def test_a_person_may_take_a_candidate_of_the_present_key(local_device: LocalDevice) -> None:
    due(local_device)
    new, former = issue(local_device), key_file(local_device).read_bytes()
    assert verify(local_device) == (0, "")
    assert (serial_of(local_device.certificate), key_file(local_device).read_bytes()) == (new, former)


def test_a_request_of_ones_own_is_made_with_its_key(local_device: LocalDevice, tmp_path: Path) -> None:
    due(local_device)
    (tmp_path / "own.csr").write_text(signing_request(local_device))
    assert local_device.run(f"tedge-cert-renew c8y --csr-path {tmp_path / 'own.csr'}").exit == 0
    assert public(local_device.candidate) == public(key_file(local_device))
    both = local_device.run(f"tedge-cert-renew c8y --new-key --csr-path {tmp_path / 'own.csr'}")
    assert both.exit == 2


def test_a_candidate_key_that_is_none_is_named_with_its_cure(local_device: LocalDevice) -> None:
    due(local_device)
    candidate_key(local_device).write_text("garbage")
    before = asked(local_device)
    code, said = renew(local_device)
    assert code == 1
    assert f"the candidate key {candidate_key(local_device)} cannot be used" in said
    assert f"`sudo rm {candidate_key(local_device)}`" in said
    assert asked(local_device) == before


def link(device: LocalDevice) -> str:
    real = key_file(device).with_name("real.pem")
    key_file(device).rename(real)
    key_file(device).symlink_to(real)
    return (
        f"is a symbolic link, which a new key would replace by a file: set device.key_path to the file itself, {real}"
    )


def shared_with_a_profile(device: LocalDevice) -> str:
    file = device.directory / "tedge.toml"
    other = device.directory / "other.pem"
    other.write_bytes(device.certificate.read_bytes())
    file.write_text(file.read_text() + f'[c8y.profiles.p]\nurl = "x.example"\ndevice.cert_path = "{other}"\n')
    return f"is also the key of {other} (c8y.profiles.p.device.cert_path): give that one a key of its own"


def shared_with_the_factory_certificate(device: LocalDevice) -> str:
    factory = device.directory / "factory.pem"
    factory.write_bytes(device.certificate.read_bytes())
    file = device.directory / "tedge.toml"
    file.write_text(file.read_text() + f'[est.bootstrap]\ncert_path = "{factory}"\nkey_path = "{key_file(device)}"\n')
    return f"is also the key of {factory} (c8y.est.bootstrap.cert_path)"


def with_a_copy_of_the_key(device: LocalDevice) -> str:
    copy = device.directory / "copy.pem"
    copy.write_bytes(key_file(device).read_bytes())
    file = device.directory / "tedge.toml"
    file.write_text(file.read_text() + f'[mqtt.client.auth]\ncert_file = "{device.certificate}"\nkey_file = "{copy}"\n')
    return f"has another key file too, {copy} (mqtt.client.auth.key_file)"


def in_place_of_the_request(device: LocalDevice) -> str:
    configure(device, "device.csr", "key.pem.new")
    return "is the file"


@pytest.mark.parametrize(
    "spoil",
    [
        link,
        shared_with_a_profile,
        shared_with_the_factory_certificate,
        with_a_copy_of_the_key,
        in_place_of_the_request,
    ],
)
def test_what_cannot_be_done_is_said_before_anything(
    local_device: LocalDevice, spoil: Callable[[LocalDevice], str]
) -> None:
    due(local_device)
    reason = spoil(local_device)
    before = files_of(local_device), asked(local_device)
    code, said = renew(local_device)
    assert code == 1
    assert reason in said
    assert "`sudo tedge config set certificate.rotate_key false` renews with the present key" in said
    assert (files_of(local_device), asked(local_device)) == before
    rehearsed = local_device.run("tedge-cert-renew c8y --dry-run")
    assert reason in rehearsed.stdout


@pytest.mark.parametrize("mode", [0o600, 0o640])
@pytest.mark.parametrize("what", ["owner", "group", "directory"])
def test_the_new_key_could_not_be_put_there(
    local_device: LocalDevice, mocker: MockerFixture, what: str, mode: int
) -> None:
    """For another user than root, whose process can neither give a file away nor write everywhere."""
    due(local_device)
    key = key_file(local_device)
    key.chmod(mode)
    instance, facts = instance_of(local_device), key.stat()
    mocker.patch("tedge_cert.device.rotation.os.geteuid", return_value=facts.st_uid + (what == "owner") or 4711)
    mocker.patch("tedge_cert.device.rotation.os.getegid", return_value=facts.st_gid + (what == "group"))
    mocker.patch("tedge_cert.device.rotation.os.access", return_value=what != "directory")
    mocker.patch.object(Path, "stat", return_value=os.stat_result((mode, 0, 0, 1, 4711, facts.st_gid, 0, 0, 0, 0)))
    said = outcome(lambda: rotation.check(instance))[1]
    mocker.stopall()
    expected = {
        "owner": f"{key} belongs to user 4711, and a new key would belong to daemon",
        "group": "" if mode == 0o600 else f"{key} is for a group other than that of this process",
        "directory": f"this process may not write in {key.parent}, where the key is",
    }[what]
    assert (expected in said) if expected else not said


def test_registering_again_leaves_no_key_behind(local_device: LocalDevice, mocker: MockerFixture) -> None:
    hurry(mocker)
    due(local_device)
    assert renew(local_device) == (0, "")
    promote_pair(local_device)
    # The rename of the key did not last: the key that the certificate has is taken first.
    new = key_file(local_device).read_bytes()
    instance = instance_of(local_device)
    instance.candidate_key.write_bytes(new)
    key_file(local_device).write_bytes(instance.previous_key.read_bytes())
    assert local_device.register().exit == 0
    assert (key_file(local_device).read_bytes(), files_of(local_device)) == (new, PAIR)
    assert public(local_device.certificate) == public(key_file(local_device))


def test_removing_removes_every_key(local_device: LocalDevice) -> None:
    due(local_device)
    assert renew(local_device) == (0, "")
    instance_of(local_device).previous_key.write_bytes(make_for(1).key_pem)
    assert local_device.run("tedge-cert-remove c8y").exit == 0
    assert files_of(local_device) == set()


def test_a_half_switch_is_told_with_its_cure(local_device: LocalDevice) -> None:
    """Registering again would be the way of a key that is lost."""
    due(local_device)
    assert renew(local_device) == (0, "")
    promote_pair(local_device)
    instance = instance_of(local_device)
    instance.candidate_key.write_bytes(key_file(local_device).read_bytes())
    key_file(local_device).write_bytes(instance.previous_key.read_bytes())
    said = local_device.run("tedge-cert-status c8y").stdout
    assert "certificate and key were switched by half" in said
    assert "=> sudo tedge reconnect c8y" in said
    assert "cert download" not in said
    assert local_device.run("tedge-cert-needs-renewal --systemd c8y").exit == 0
    assert verify(local_device) == (0, "")


def test_setting_it_says_at_once_what_is_in_the_way(local_device: LocalDevice) -> None:
    certify(local_device)
    link(local_device)
    said = local_device.run("tedge-config set certificate.rotate_key true")
    assert said.exit == 0
    assert "is a symbolic link" in said.stderr
    assert "is a symbolic link" in local_device.run("tedge-cert-status c8y").stdout


def test_a_pair_that_cannot_be_switched_any_more_gives_way(local_device: LocalDevice) -> None:
    """A profile got a certificate of the same key meanwhile; what the line advises is enough."""
    due(local_device)
    assert renew(local_device) == (0, "")
    reason = shared_with_a_profile(local_device)
    code, said = verify(local_device)
    assert (code, reason in said) == (1, True)
    assert files_of(local_device) == WITH_CANDIDATE
    configure(local_device, "rotate_key = true", "rotate_key = false")
    assert renew(local_device) == (0, "")
    assert files_of(local_device) == PAIR | {"cert.pem.new"}
    assert verify(local_device) == (0, "")


def test_a_key_that_is_handed_over_cannot_be_replaced(local_device: LocalDevice, tmp_path: Path) -> None:
    """As beside thin-edge, where it belongs to the user of mosquitto."""
    due(local_device)
    handed = tmp_path / "tedge.key"
    handed.write_bytes(key_file(local_device).read_bytes())
    code, said = outcome(lambda: rotation.check(replace(instance_of(local_device), key_file=handed)))
    assert code == 1
    assert f"{key_file(local_device)} belongs to another user, and is only handed over to be read" in said
