# SPDX-License-Identifier: Apache-2.0
"""Registration: a certificate that does not fit is not written, and a wrong clock spends no password."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.commands import download as registration
from tedge_cert.device.connection_settings import server_of
from tedge_cert.tenant import rest
from unit.certificates import make
from unit.connected import behind, certify, instance_of, issue, key_file, outcome, serials, signing_request
from unit.local_device import LocalDevice, Result

PASSWORD = "correct-horse"


def download(device: LocalDevice, words: str = "") -> Result:
    device.tenant.register(device.device_id, PASSWORD)
    command = f"tedge-cert-download c8y --device-id {device.device_id} --retry-every 1s --max-timeout 0s {words}"
    return device.run(command, DEVICE_ONE_TIME_PASSWORD=PASSWORD)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"do": "wrong-key"}, "for the key of this device"),
        ({"do": "wrong-name"}, "issued to another-device, expected the device id"),
        ({"do": "expired"}, "it expired"),
        ({"do": "garbage"}, "no certificate"),
        ({"do": "empty"}, "empty"),
        ({"do": "html"}, "no certificate"),
        ({"do": "status", "status": 503, "headers": {"Retry-After": "5"}}, "answered 503"),
        ({"do": "close"}, "no answer"),
    ],
)
def test_a_bad_answer(local_device: LocalDevice, fault: dict[str, Any], said: str) -> None:
    old = certify(local_device)
    candidate = issue(local_device)
    previous = issue(local_device, local_device.previous)
    local_device.tenant.fault(where="est", **fault)
    result = download(local_device)
    assert (result.exit, result.stdout) == (1, "")
    assert serials(local_device) == (old, candidate, previous)
    assert said in result.stderr
    assert f"127.0.0.1:{local_device.tenant.http_port}" in "".join(
        line for line in result.stderr.splitlines() if line.startswith("error: ") and said in line
    )
    assert PASSWORD not in result.stderr


@pytest.mark.parametrize("kind", ["another key", "garbage", "missing"])
def test_a_request_that_cannot_be_used(local_device: LocalDevice, kind: str, asked: Callable[[], int]) -> None:
    certify(local_device)
    csr, kept = local_device.directory / "other.csr", key_file(local_device).read_bytes()
    if kind == "another key":
        key_file(local_device).write_bytes(make().key_pem)
        csr.write_text(signing_request(local_device))
        key_file(local_device).write_bytes(kept)
    if kind == "garbage":
        csr.write_text("garbage")
    result = download(local_device, f"--csr-path {csr}")
    assert (result.exit, result.stderr.count(f"{csr}")) == (1, 1)
    assert asked() == 0


def test_a_request_made_by_others(local_device: LocalDevice) -> None:
    csr = local_device.directory / "other.csr"
    csr.write_text(signing_request(local_device))
    assert download(local_device, f"--csr-path {csr}").exit == 0
    assert serials(local_device)[0]
    assert not (local_device.directory / "certs" / "device.csr").exists()


def test_an_unusable_key_is_not_replaced(local_device: LocalDevice) -> None:
    key_file(local_device).write_text("garbage")
    result = download(local_device)
    assert (result.exit, key_file(local_device).read_text()) == (1, "garbage")
    assert f"{key_file(local_device)} holds no private key" in result.stderr


def test_another_address(local_device: LocalDevice) -> None:
    file = local_device.directory / "tedge.toml"
    file.write_text(file.read_text().replace(f'http = "127.0.0.1:{local_device.tenant.http_port}"\n', ""))
    assert download(local_device, f"--url 127.0.0.1:{local_device.tenant.http_port}").exit == 0
    assert serials(local_device)[0]


def ask(device: LocalDevice, max_timeout_s: int = 0) -> tuple[int, str]:
    """Do as the command does, with the clock of this process."""
    device.tenant.register(device.device_id, PASSWORD)
    instance = instance_of(device)
    known = registration.Registration(device.device_id, PASSWORD, generated=False, host=server_of(instance.config).host)

    def whole() -> None:
        registration.check_clock(instance, known.host)
        registration.download(instance, known, None, 0, max_timeout_s)

    return outcome(whole)


def test_a_clock_that_is_behind_spends_no_password(
    local_device: LocalDevice, mocker: MockerFixture, asked: Callable[[], int]
) -> None:
    old = certify(local_device, days=90, not_before_offset_s=-86_400)
    previous = issue(local_device, local_device.previous)
    behind(mocker, 7_230)
    code, said = ask(local_device)
    assert (code, asked(), serials(local_device)) == (1, 0, (old, None, previous))
    assert said.startswith("the clock is wrong: it is 2h ")
    assert f" behind that of {server_of(instance_of(local_device).config).host}; nothing was sent" in said
    assert "password is still good" in said
    assert "set it (see `" in said
    behind(mocker, 0)
    assert ask(local_device) == (0, "")
    assert asked() == 1


@pytest.mark.parametrize("behind_s", [240, -7_200])
def test_a_clock_by_which_the_certificate_is_valid_is_no_obstacle(
    local_device: LocalDevice, mocker: MockerFixture, behind_s: int
) -> None:
    behind(mocker, behind_s)
    assert ask(local_device) == (0, "")


def test_a_tenant_that_does_not_tell_its_time_is_no_obstacle(
    local_device: LocalDevice, mocker: MockerFixture, asked: Callable[[], int]
) -> None:
    mocker.patch.object(rest, "time_of", return_value=None)
    assert (ask(local_device), asked()) == ((0, ""), 1)


def test_the_time_is_compared_before_each_attempt(
    local_device: LocalDevice, mocker: MockerFixture, asked: Callable[[], int]
) -> None:
    """A tenant that was out of reach at first may know the device at the second attempt."""
    real = rest.time_of
    mocker.patch.object(rest, "time_of", side_effect=[None, real(server_of(instance_of(local_device).config))])
    local_device.tenant.fault(where="est", times=1, do="close")
    behind(mocker, 7_200)
    code, said = ask(local_device, max_timeout_s=60)
    assert (code, asked(), serials(local_device)) == (1, 1, (None, None, None))
    assert "the clock is wrong" in said


def test_a_certificate_that_is_not_valid_yet_is_kept(local_device: LocalDevice) -> None:
    """Its password is spent, so the device cannot get another certificate with it."""
    local_device.tenant.fault(where="est", do="not-yet-valid", seconds=600)
    result = download(local_device)
    assert (result.exit, result.stdout) == (1, "")
    issued = local_device.tenant.device(local_device.device_id)["issued"][-1]["serial"]
    assert serials(local_device) == (issued, None, None)
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: the certificate is kept as {local_device.certificate}, but the clock is wrong")
    assert "; set it (see `" in last
    assert last.endswith("then `sudo tedge connect c8y` connects it")
    assert PASSWORD not in result.stderr
