# SPDX-License-Identifier: Apache-2.0
"""Registration: what is no certificate for this device is not written, and nothing of a former life is touched."""

from typing import Any

import pytest

from unit.certificates import make
from unit.connected import certify, issue, key_file, serials, signing_request
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
        ({"do": "wrong-name"}, "issued to somebody-else, expected the device id"),
        ({"do": "expired"}, "it expired"),
        ({"do": "not-yet-valid", "seconds": 600}, "the clock is wrong"),
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
def test_a_request_that_cannot_be_used(local_device: LocalDevice, kind: str) -> None:
    certify(local_device)
    csr, kept = local_device.directory / "other.csr", key_file(local_device).read_bytes()
    if kind == "another key":
        key_file(local_device).write_bytes(make().key_pem)
        csr.write_text(signing_request(local_device))
        key_file(local_device).write_bytes(kept)
    if kind == "garbage":
        csr.write_text("garbage")
    before = len(local_device.tenant.state()["requests"])
    result = download(local_device, f"--csr-path {csr}")
    assert (result.exit, result.stderr.count(f"{csr}")) == (1, 1)
    assert len(local_device.tenant.state()["requests"]) == before


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
