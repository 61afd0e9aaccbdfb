# SPDX-License-Identifier: Apache-2.0
"""No other user can read the key at any instant, and no secret leaves by a child, a core dump or a line."""

import json
import os
import resource
import subprocess
import sys

import pytest

from faults.hourly import DOWNLOAD, RENEW, VERIFY, Traced, traced
from faults.record import Matrix
from unit.connected import certify, connect, instance_of, key_file
from unit.local_device import ROOT, LocalDevice
from unit.pairs import want_new_keys

PASSWORD = "one-time-password-of-this-test"


def making_a_key(device: LocalDevice, words: str) -> Traced:
    device.tenant.register(device.device_id, PASSWORD)
    run = traced(device, words, variables={"DEVICE_ONE_TIME_PASSWORD": PASSWORD})
    assert run.result.exit == 0, run.result
    return run


@pytest.mark.row("Who may do what: the key")
@pytest.mark.parametrize(
    "words", [DOWNLOAD, "tedge-cert-create --device-id {}", "tedge-cert-create-csr --device-id {}"]
)
def test_the_key_is_never_readable_by_others(local_device: LocalDevice, matrix: Matrix, words: str) -> None:
    """From the call that makes its file to the end: not by its mode, and whatever the umask is."""
    before = os.umask(0)
    try:
        run = making_a_key(local_device, words.format(local_device.device_id))
    finally:
        os.umask(before)
    secret = key_file(local_device).read_bytes()
    holding = {each.path for each in run.calls if each.name == "write" and b"PRIVATE KEY" in bytes.fromhex(each.data)}
    assert len(holding) == 1
    made = [each for each in run.calls if each.path in holding]
    assert {each.name for each in made} >= {"openat", "fchmod", "write", "fsync"}
    for each in made:
        with matrix.case(f"{each}"):
            if each.name == "openat":
                assert each.flags & os.O_EXCL
                assert each.mode & 0o077 == 0
            elif each.mode >= 0:
                assert each.mode & 0o007 == 0
    assert key_file(local_device).stat().st_mode & 0o777 == 0o640
    for each in run.calls:
        assert secret[60:120].hex() not in each.data or each.path in holding


@pytest.mark.row("Who may do what: the key")
def test_a_new_key_is_never_readable_by_others(local_device: LocalDevice, matrix: Matrix) -> None:
    """From the call that makes its file to its way into the place of the former one."""
    certify(local_device)
    want_new_keys(local_device)
    before = os.umask(0)
    try:
        runs = [traced(local_device, words) for words in (RENEW, VERIFY)]
    finally:
        os.umask(before)
    assert [each.result.exit for each in runs] == [0, 0]
    calls = [call for each in runs for call in each.calls]
    holding = {each.path for each in calls if each.name == "write" and b"PRIVATE KEY" in bytes.fromhex(each.data)}
    # The new key, and for the switch a copy of it and of the former one.
    assert len(holding) == 3
    for each in (call for call in calls if call.path in holding and call.mode >= 0):
        with matrix.case(f"{each}"):
            assert each.mode & (0o077 if each.name == "openat" else 0o007) == 0
    assert key_file(local_device).stat().st_mode & 0o777 == 0o640


@pytest.mark.row("Who may do what: the key")
@pytest.mark.parametrize("words", [RENEW, VERIFY])
def test_no_step_writes_outside_its_directories(local_device: LocalDevice, words: str) -> None:
    """It writes the key nowhere either; tracing finds every changed file."""
    certify(local_device)
    connect(local_device)
    if words == VERIFY:
        assert local_device.run(RENEW).exit == 0
    run = traced(local_device, words)
    instance = instance_of(local_device)
    own = tuple(map(str, (instance.certificate.parent, instance.run_directory, instance.state_file.parent)))
    # Making the directory of the state syncs the one above, which changes nothing in it.
    changed = [each for each in run.calls if each.name != "fsync"]
    assert [each for each in changed if not each.path.startswith(own)] == []
    assert not [each for each in run.calls if b"PRIVATE KEY" in bytes.fromhex(each.data)]


@pytest.mark.row("Who may do what: the key")
@pytest.mark.parametrize("words", [RENEW, VERIFY, DOWNLOAD, "tedge-connect c8y", "tedge-reconnect c8y"])
def test_no_child_is_told_a_secret(local_device: LocalDevice, matrix: Matrix, words: str) -> None:
    """Neither by its arguments nor by its environment: password, token, key, nor the password for the local broker."""
    if words == DOWNLOAD:
        local_device.tenant.register(local_device.device_id, PASSWORD)
    else:
        certify(local_device)
        connect(local_device)
    if words == VERIFY:
        assert local_device.run(RENEW).exit == 0
    if words == "tedge-connect c8y":
        assert local_device.run("tedge-disconnect c8y").exit == 0
    run = traced(local_device, words.format(local_device.device_id), variables={"DEVICE_ONE_TIME_PASSWORD": PASSWORD})
    assert run.result.exit == 0, run.result
    key = key_file(local_device).read_text().splitlines()[1]
    command, *children = run.started
    assert not any(PASSWORD in each for each in command["cmdline"])
    # Connecting asks mosquitto for its version.
    assert bool(children) == words.startswith(("tedge-connect", "tedge-reconnect"))
    for each in children:
        with matrix.case(f"{words}: {each['cmdline']}"):
            told = "\n".join([*each["cmdline"], *each["environ"]])
            assert not [secret for secret in (PASSWORD, key, "eyJ", "PRIVATE KEY") if secret in told], told


@pytest.mark.row("Who may do what: the key")
def test_no_core_is_dumped_of_who_holds_the_key(local_device: LocalDevice) -> None:
    certify(local_device)
    program = (
        "import json, resource, sys; from pathlib import Path; from tedge_cert.x509 import keys\n"
        "keys.load(Path(sys.argv[1])); print(json.dumps(resource.getrlimit(resource.RLIMIT_CORE)))"
    )
    command = [sys.executable, "-c", program, str(key_file(local_device))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
    before = resource.getrlimit(resource.RLIMIT_CORE)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout) == [0, 0]
    assert resource.getrlimit(resource.RLIMIT_CORE) == before


@pytest.mark.row("Who may do what: the key")
@pytest.mark.parametrize("level", ["error", "trace"])
def test_a_password_is_said_nowhere(local_device: LocalDevice, matrix: Matrix, level: str) -> None:
    """It is in no message, for any answer of the tenant, and in no file."""
    for fault in ({"do": "status", "status": 401}, {"do": "garbage"}, {"do": "close"}, {}):
        with matrix.case(f"{fault}"):
            local_device.tenant.clear_faults()
            if fault:
                local_device.tenant.fault(where="est", times=1, **fault)
            local_device.tenant.register(local_device.device_id, PASSWORD)
            words = f"{DOWNLOAD.format(local_device.device_id)} --log-level {level} --max-timeout 1 --retry-every 1"
            run = traced(local_device, words, variables={"DEVICE_ONE_TIME_PASSWORD": PASSWORD})
            assert PASSWORD not in run.result.stdout + run.result.stderr
            assert not [each for each in run.calls if PASSWORD.encode().hex() in each.data]
