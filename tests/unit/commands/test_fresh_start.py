# SPDX-License-Identifier: Apache-2.0
"""A device that is registered again: state of the previous certificate is removed, other state is kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tedge_cert.commands import create as pair
from tedge_cert.commands import remove as remove_command
from tedge_cert.device import registration_record as record
from tedge_cert.steps.outcome import tell_fleet
from unit.connected import certify, instance_of, issue, rejected, serials
from unit.local_device import LocalDevice
from unit.remembered import remember
from unit.tenant.test_alarm import alarms, raise_alarm

SPENT = "spent"


def create(device: LocalDevice) -> None:
    device.certificate.unlink()
    (device.directory / "certs" / "key.pem").unlink()
    pair.create(instance_of(device), device.device_id)


def remove(device: LocalDevice) -> None:
    assert remove_command.remove(instance_of(device))


def download(device: LocalDevice) -> None:
    assert device.register().exit == 0


def lived(device: LocalDevice) -> Callable[[], set[str]]:
    """A device with all state of a previous certificate, and a function that lists what is left."""
    instance = instance_of(device)
    certify(device)
    issue(device, name="another-device")
    assert device.run("tedge-cert-verify c8y").exit == 3
    issue(device, device.previous)
    record.begin(instance, SPENT)
    record.finish(instance)
    record.begin(instance, "begun")
    record.save_attempts(instance, record.Attempts("connecting", 9, 1.0))
    instance.state_file.with_suffix(".alarm").touch()
    for name in ("registering", "registered"):
        instance.state_file.with_name(f".c8y.{name}.0123abcd.tmp").touch()
    (instance.run_directory / ".c8y.attempts.0123abcd.tmp").touch()

    def names() -> set[str]:
        held = {*instance.state_file.parent.iterdir(), *instance.run_directory.iterdir()}
        return {each.suffix for each in held} - {".lock", ".holder"}

    assert names() == {".json", ".rejected", ".registering", ".registered", ".attempts", ".alarm", ".tmp"}
    return names


@pytest.mark.parametrize(
    ("begin", "kept"),
    [
        # A registration that its unit began ends with a connected device.
        (download, {".registered", ".registering", ".alarm"}),
        (create, {".registered", ".alarm"}),
        (remove, {".registered", ".alarm", ".device-id"}),
    ],
)
def test_what_is_void_goes(local_device: LocalDevice, begin: Callable[[LocalDevice], None], kept: set[str]) -> None:
    names = lived(local_device)
    begin(local_device)
    assert (serials(local_device)[1:], rejected(local_device)) == ((None, None), None)
    assert names() == kept
    # A password is used once, for any certificate.
    assert record.last_password(instance_of(local_device)) == SPENT


def test_a_device_without_certificate_is_not_registered_for_what_had_begun(local_device: LocalDevice) -> None:
    """Otherwise the next boot would connect it with the certificate that is there then."""
    lived(local_device)
    remove(local_device)
    assert local_device.run(f"tedge-cert-create --device-id {local_device.device_id}").exit == 0
    assert local_device.run("tedge-cert-needs-download c8y").exit == 1


def test_an_alarm_about_the_certificate_before_is_cleared(local_device: LocalDevice) -> None:
    """The registration clears it itself, because the next renewal may be a year away."""
    raise_alarm(local_device, 'answered "503"')
    download(local_device)
    local_device.tenant.wait_messages(local_device.device_id, count=5)
    assert alarms(local_device) == ["CLEARED"]
    assert not instance_of(local_device).state_file.with_suffix(".alarm").exists()
    local_device.stop_broker()


def test_an_alarm_is_not_forgotten_with_the_certificate(local_device: LocalDevice) -> None:
    """A person removes the certificate and connects with another one: the marker stays until then."""
    raise_alarm(local_device, "")
    remove(local_device)
    certify(local_device, days=90)
    tell_fleet(instance_of(local_device))
    local_device.tenant.wait_messages(local_device.device_id, count=5)
    assert alarms(local_device) == ["CLEARED"]


def test_what_the_hourly_check_left_is_void_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = remember(tmp_path, monkeypatch)
    assert made.full_check() == 1
    assert made.is_quiet()
    content = made.certificate.read_bytes()
    made.certificate.unlink()
    assert not made.is_quiet()
    made.certificate.write_bytes(content)
    assert not made.is_quiet()
