# SPDX-License-Identifier: Apache-2.0
"""Whether a device has to be registered, as the unit of the first boot asks."""

from unit.certificates import DAY_S
from unit.children import run_here
from unit.connected import certify, issue
from unit.local_device import LocalDevice


def answer(device: LocalDevice) -> tuple[int, str]:
    """Exit code and line."""
    result = run_here(["tedge-cert-needs-download", "c8y"], device.directory)
    return result.exit, result.stderr


def test_a_device_without_certificate_is_registered(local_device: LocalDevice) -> None:
    code, line = answer(local_device)
    assert code == 0
    assert "there is no certificate" in line


def test_a_valid_one_is_left_alone_however_soon_it_expires(local_device: LocalDevice) -> None:
    certify(local_device, days=1)
    code, line = answer(local_device)
    assert code == 1
    assert "nothing to register" in line


def test_an_expired_one_is_replaced(local_device: LocalDevice) -> None:
    issue(local_device, local_device.certificate, days=-60 / DAY_S, not_before_offset_s=-3600)
    code, line = answer(local_device)
    assert code == 0
    assert "registering again" in line


def test_a_clock_that_is_wrong_is_no_reason(local_device: LocalDevice) -> None:
    issue(local_device, local_device.certificate, days=10, not_before_offset_s=DAY_S)
    assert answer(local_device)[0] == 1


def test_a_file_that_is_broken_is_somebodys(local_device: LocalDevice) -> None:
    local_device.certificate.write_text("garbage")
    code, line = answer(local_device)
    assert code == 1
    assert "cannot be read" in line
