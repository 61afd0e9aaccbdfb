# SPDX-License-Identifier: Apache-2.0
"""The first certificate of a device, for a one-time password."""

import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from unit.connected import certify, issue, key_file, serial_of, serials
from unit.local_device import LocalDevice, Result

PASSWORD = "correct-horse"
QUICK = "--retry-every 1s --max-timeout 2s"


def download(device: LocalDevice, words: str = QUICK) -> Result:
    command = f"tedge-cert-download c8y --device-id {device.device_id} {words}"
    return device.run(command, DEVICE_ONE_TIME_PASSWORD=PASSWORD)


@contextmanager
def waiting(device: LocalDevice, words: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A download that has been refused once and waits; it is killed if it does not end."""
    command = device.command(f"tedge-cert-download c8y {words}")
    environment = {**device.environment, **environment}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stderr
        try:
            said = ""
            while "asking again in" not in said:
                line = child.stderr.readline()
                assert line, said
                said += line
            child.said = said  # type: ignore[attr-defined]
            yield child
        finally:
            child.kill()


def test_the_first_certificate(local_device: LocalDevice) -> None:
    local_device.tenant.settings(est_chain=True, intermediate=True, est_order="leaf-last")
    local_device.tenant.register(local_device.device_id, PASSWORD)
    result = download(local_device)
    assert result.exit == 0
    assert PASSWORD not in result.stdout + result.stderr
    assert f"    device id:         {local_device.device_id}\n" in result.stderr
    assert "#/deviceregistration?externalId=" in result.stderr
    issued = local_device.tenant.device(local_device.device_id)["issued"][-1]
    assert serials(local_device) == (issued["serial"], None, None)
    assert local_device.certificate.read_text().startswith(issued["pem"])
    assert local_device.certificate.read_text().count("BEGIN") == 3
    assert result.stdout.startswith(f"Certificate:   {local_device.certificate}\nSubject:       CN=")
    modes = {each.name: each.stat().st_mode & 0o777 for each in local_device.certificate.parent.iterdir()}
    assert modes == {"cert.pem": 0o644, "key.pem": 0o640, "device.csr": 0o644}
    subject = x509.load_pem_x509_csr((local_device.directory / "certs" / "device.csr").read_bytes()).subject
    assert [each.value for each in subject] == [local_device.device_id, "Thin Edge", "Device"]
    request = local_device.tenant.state()["requests"][-1]
    assert (request["authorization"], request["headers"]["Content-Type"]) == ("Basic", "application/pkcs10")


def test_a_wrong_password_is_retried(local_device: LocalDevice, asked: Callable[[], int]) -> None:
    local_device.tenant.register(local_device.device_id, "another")
    result = download(local_device)
    assert (result.exit, result.stdout, serials(local_device)) == (1, "", (None, None, None))
    assert asked() == 2
    assert result.stderr.count("not registered yet, or another one-time password") == 2
    assert "warning: asking again in 1 s\n" in result.stderr
    host = f"127.0.0.1:{local_device.tenant.http_port}"
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: no certificate for {local_device.device_id} from {host} within 2 s: ")
    assert PASSWORD not in result.stderr
    key = key_file(local_device).read_bytes()
    local_device.tenant.register(local_device.device_id, PASSWORD)
    assert download(local_device).exit == 0
    assert key_file(local_device).read_bytes() == key


def test_until_the_tenant_knows_the_device(local_device: LocalDevice) -> None:
    words = f"--device-id {local_device.device_id} --retry-every 1s --max-timeout 60s"
    with waiting(local_device, words, DEVICE_ONE_TIME_PASSWORD=PASSWORD) as child:
        assert PASSWORD not in Path(f"/proc/{child.pid}/cmdline").read_text()
        local_device.tenant.register(local_device.device_id, PASSWORD)
        assert child.wait(30) == 0
    assert serials(local_device)[0] == local_device.tenant.device(local_device.device_id)["issued"][-1]["serial"]


def test_a_generated_password_is_shown_and_works(local_device: LocalDevice) -> None:
    with waiting(local_device, "--retry-every 1s --max-timeout 60s", DEVICE_ID=local_device.device_id) as child:
        found = re.findall(r"one-time password: (\w+)\n", child.said)  # type: ignore[attr-defined]
        assert len(found) == 1
        assert re.fullmatch("[A-Za-z0-9]{32}", found[0])
        assert (
            f"https://127.0.0.1:{local_device.tenant.http_port}/apps/devicemanagement/index.html#/deviceregistration"
            f"?externalId={local_device.device_id}&one-time-password={found[0]}\n"
        ) in child.said  # type: ignore[attr-defined]
        local_device.tenant.register(local_device.device_id, found[0])
        assert child.wait(30) == 0


@pytest.mark.parametrize("how", ["option", "no url", "no url by environment", "prompt"])
def test_a_given_password_is_never_shown(local_device: LocalDevice, how: str) -> None:
    local_device.tenant.register(local_device.device_id, PASSWORD)
    words = {
        "option": f"{QUICK} --one-time-password {PASSWORD}",
        "no url": f"{QUICK} -p {PASSWORD} --no-registration-url",
        "no url by environment": QUICK,
        "prompt": f"{QUICK} --prompt",
    }[how]
    environment = {"DEVICE_NO_REGISTRATION_URL": "true", "DEVICE_ONE_TIME_PASSWORD": PASSWORD}
    command = local_device.command(f"tedge-cert-download c8y --device-id {local_device.device_id} {words}")
    result = subprocess.run(
        command,
        env={**local_device.environment, **(environment if how == "no url by environment" else {})},
        input=PASSWORD + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert PASSWORD not in result.stdout + result.stderr
    assert ("#/deviceregistration" in result.stderr) == (not how.startswith("no url"))
    assert "one-time-password=\n" in result.stderr or how.startswith("no url")


def test_killed_while_it_waits(local_device: LocalDevice) -> None:
    words = f"--device-id {local_device.device_id} --retry-every 60s"
    with waiting(local_device, words, DEVICE_ONE_TIME_PASSWORD=PASSWORD) as child:
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
    assert {each.name for each in local_device.certificate.parent.iterdir()} == {"key.pem", "device.csr"}
    x509.load_pem_x509_csr((local_device.directory / "certs" / "device.csr").read_bytes())
    local_device.tenant.register(local_device.device_id, PASSWORD)
    assert download(local_device).exit == 0
    assert serials(local_device)[0]


def test_over_an_existing_certificate(local_device: LocalDevice) -> None:
    """State of the previous certificate is removed; readers see the old certificate or the new one, whole."""
    old = certify(local_device, days=-1, not_before_offset_s=-2 * 86_400)
    issue(local_device, local_device.previous)
    issue(local_device)
    key, number = key_file(local_device).read_bytes(), local_device.certificate.stat().st_ino
    seen, done = {local_device.certificate.read_bytes()}, threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(local_device.certificate.read_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        local_device.tenant.register(local_device.device_id, PASSWORD)
        assert download(local_device).exit == 0
    finally:
        done.set()
        watcher.join()
    new = serial_of(local_device.certificate)
    assert serials(local_device) == (new, None, None)
    assert new != old
    assert len(seen | {local_device.certificate.read_bytes()}) == 2
    assert local_device.certificate.stat().st_ino != number
    assert key_file(local_device).read_bytes() == key
