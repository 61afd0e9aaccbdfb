# SPDX-License-Identifier: Apache-2.0
"""A certificate that the device signs itself waits for its upload, then is taken into use."""

import pytest
from pytest_mock import MockerFixture

from tedge_cert.x509 import certificate
from unit import connected, recipes
from unit.certificates import make_for
from unit.connected import connect, instance_of, issue, outcome, rejected, serial_of, serials
from unit.local_device import LocalDevice
from unit.self_made import RENEW, create, lengthen, upload


@pytest.mark.parametrize("broker", [False, True])
def test_waits_for_its_upload_and_then_switches(local_device: LocalDevice, mocker: MockerFixture, broker: bool) -> None:
    connected.hurry(mocker)
    old = create(local_device, 20, trusted=True)
    if broker:
        connect(local_device)
    lengthen(local_device)
    result = local_device.run(f"{RENEW} --systemd c8y")
    new = serial_of(local_device.candidate)
    assert (result.exit, result.stdout) == (0, "")
    assert result.stderr.startswith(f"new certificate {local_device.candidate}: serial {int(new or 0):x}, valid until ")
    for _ in range(2):
        code, said = outcome(lambda: recipes.verify(instance_of(local_device)))
        assert (code, serials(local_device), rejected(local_device)) == (1, (old, new, None), None)
        assert f"{local_device.candidate} is self-signed and not yet uploaded; `tedge cert upload c8y` makes" in said
        recipes.clean_up(instance_of(local_device))
        again = local_device.run(f"{RENEW} --systemd c8y")
        assert (again.exit, serials(local_device)) == (0, (old, new, None))
        assert "still fits and is used" in again.stderr
    if broker:
        local_device.tenant.wait_connected(local_device.device_id, serial=old)
    uploaded = upload(local_device)
    assert (uploaded.exit, uploaded.stderr) == (0, f"The tenant trusts it now: {local_device.candidate}\n")
    assert outcome(lambda: recipes.verify(instance_of(local_device))) == (0, "")
    assert serials(local_device) == (new, None, None)


@pytest.mark.parametrize("fault", [{"do": "connack", "code": 5}, {"do": "close-after-connack"}, {"do": "tls-revoked"}])
def test_every_refusal_waits(local_device: LocalDevice, mocker: MockerFixture, fault: dict[str, object]) -> None:
    connected.hurry(mocker)
    old = create(local_device, 20, trusted=True)
    lengthen(local_device)
    assert local_device.run(RENEW).exit == 0
    new = serial_of(local_device.candidate)
    assert upload(local_device).exit == 0
    local_device.tenant.fault(where="mqtt", serials=[new], **fault)
    code, said = outcome(lambda: recipes.verify(instance_of(local_device)))
    assert (code, serials(local_device), rejected(local_device)) == (1, (old, new, None), None)
    assert "`tedge cert upload c8y`" in said


def test_one_that_does_not_fit_is_rejected(local_device: LocalDevice) -> None:
    create(local_device)
    local_device.candidate.write_bytes(make_for(900, name="another-device").pem)
    code, _ = outcome(lambda: recipes.verify(instance_of(local_device)))
    assert code == 3
    assert rejected(local_device)


def test_from_self_signed_to_the_authority_of_the_tenant(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """Without --ca the tenant is asked, even if the certificate is self-signed, and ends years later."""
    connected.hurry(mocker)
    create(local_device, 3650, trusted=True)
    result = local_device.run("tedge-cert-renew c8y")
    assert result.exit == 0, result.stderr
    assert "upload" not in result.stderr
    assert "\nwarning: the new certificate: it ends " in result.stderr
    assert not certificate.load(local_device.candidate).is_self_signed
    assert outcome(lambda: recipes.verify(instance_of(local_device))) == (0, "")


def test_the_unit_takes_a_candidate_of_whomever(local_device: LocalDevice) -> None:
    create(local_device, 20, trusted=True)
    given = issue(local_device)
    result = local_device.run(f"{RENEW} --systemd c8y")
    assert (result.exit, serials(local_device)[1]) == (0, given)
