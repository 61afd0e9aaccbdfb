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

from unit.connected import certify, configure, issue, key_file, serial_of, serials
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
    assert f"Registering {local_device.device_id} with 127.0.0.1:{local_device.tenant.http_port}\n" in result.stderr
    assert "#/deviceregistration" not in result.stderr
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
    waited = re.findall(r"^not registered yet; asking again in 1 s \(until \d\d:\d\d\)$", result.stderr, re.MULTILINE)
    assert len(waited) == 1
    assert result.stderr.count("error: ") == 1
    host = f"127.0.0.1:{local_device.tenant.http_port}"
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: no certificate for {local_device.device_id} from {host} within 2 s: ")
    assert f"`sudo tedge cert download c8y --device-id {local_device.device_id}` goes on with the one-time" in last
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


def kept(device: LocalDevice) -> Path:
    return device.directory / "state" / "c8y.one-time-password"


def test_a_generated_password_is_kept_until_it_is_used(local_device: LocalDevice) -> None:
    """An operator may take longer than the command waits."""
    words = f"tedge-cert-download c8y --device-id {local_device.device_id} --retry-every 1s --max-timeout 0s"
    shown = [re.findall(r"one-time password: (\w+)\n", local_device.run(words).stderr) for _ in range(2)]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 1
    assert kept(local_device).stat().st_mode & 0o777 == 0o600
    other = local_device.run(words.replace("--device-id ", "--device-id other-"))
    assert shown[0][0] not in other.stderr
    again = local_device.run(words)
    found = re.findall(r"one-time password: (\w+)\n", again.stderr)
    assert "goes on with the same one-time password" in again.stderr
    local_device.tenant.register(local_device.device_id, found[0])
    assert local_device.run(words).exit == 0
    assert not kept(local_device).exists()


def test_a_given_password_is_not_kept(local_device: LocalDevice) -> None:
    assert download(local_device, "--retry-every 1s --max-timeout 0s").exit == 1
    assert not kept(local_device).exists()


@pytest.mark.parametrize("flaw", ["no such host", "not trusted"])
def test_what_no_waiting_changes_ends_at_once(local_device: LocalDevice, flaw: str) -> None:
    where = f"127.0.0.1:{local_device.tenant.http_port}"
    if flaw == "no such host":
        configure(local_device, f'http = "{where}"', 'http = "nosuch.invalid"')
        said = "no answer from https://nosuch.invalid/tenant/loginOptions: its name cannot be looked up"
    else:
        configure(local_device, str(local_device.tenant.server_ca), str(local_device.tenant.device_ca))
        said = f"cannot speak TLS with https://{where}/tenant/loginOptions: {where} is not trusted"
    result = download(local_device, "--retry-every 60s --max-timeout 1h")
    assert result.exit == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {said}")
    assert "asking again" not in result.stderr


def test_a_profile_does_not_replace_the_certificate_of_another(local_device: LocalDevice) -> None:
    old = certify(local_device)
    local_device.run("tedge-config set c8y.url 127.0.0.1 --profile second")
    words = f"tedge-cert-download c8y --profile second --device-id second {QUICK} -p {PASSWORD}"
    refused = local_device.run(words)
    assert (refused.exit, serials(local_device)) == (1, (old, None, None))
    own = local_device.certificate.with_name("cert-second.pem")
    assert (
        f"is that of `c8y`, and would be replaced; `sudo tedge config set c8y.device.cert_path {own}" in refused.stderr
    )


@pytest.mark.parametrize("same", [True, False])
def test_another_id_needs_another_bridge(local_device: LocalDevice, same: bool) -> None:
    certify(local_device)
    assert local_device.run("tedge-connect c8y --offline").exit == 0
    name = local_device.device_id if same else "another-id"
    local_device.tenant.register(name, PASSWORD)
    result = local_device.run(f"tedge-cert-download c8y --device-id {name} -p {PASSWORD}")
    assert result.exit == 0, result.stderr
    assert ("`sudo tedge reconnect c8y` connects it" in result.stderr) is not same
    assert ("the bridge uses it when it connects again" in result.stderr) is same


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
    assert "#/deviceregistration" not in result.stderr


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
