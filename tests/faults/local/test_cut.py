# SPDX-License-Identifier: Apache-2.0
"""The way to the tenant is cut within a step: for all or only for the bridge, with a reset or silently."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.goodness import expect_good
from faults.hourly import RENEW, VERIFY, hour
from faults.record import Matrix
from faults.relay import Relay
from tenant.client import Tenant
from tenant.ports import free_port
from unit.connected import certify, configure, connect, instance_of, issue, serials
from unit.local_client import Local
from unit.local_device import MOSQUITTO, LocalDevice, Result

pytestmark = pytest.mark.row("Network")
PROMOTED = "is now the active certificate"


@pytest.fixture
def device(tenant: Tenant, tmp_path: Path) -> Iterator[LocalDevice]:
    """A device that is due; nothing runs yet."""
    made = LocalDevice(tmp_path / "device", tenant, tmp_path.name.replace("_", "-"))
    certify(made)
    yield made
    made.stop_broker()


@contextmanager
def relayed(device: LocalDevice, *names: str) -> Iterator[dict[str, Relay]]:
    """The tenant's endpoints of these names by a relay each, for the bridge too, which is up."""
    ports = {"http": device.tenant.http_port, "mqtt": device.tenant.mqtt_port}
    relays = {name: Relay(ports[name]) for name in names}
    try:
        for name, relay in relays.items():
            relay.mend()
            configure(device, f'{name} = "127.0.0.1:{ports[name]}"', f'{name} = "127.0.0.1:{relay.port}"')
        # The least that mosquitto takes, so that a bridge notices in seconds what else takes it a minute.
        configure(device, "[mqtt.bind]", '[c8y.bridge]\nkeepalive_interval = "5s"\n[mqtt.bind]')
        connect(device)
        yield relays
    finally:
        for relay in relays.values():
            relay.end()


def run_until(device: LocalDevice, words: str, line: str, event: Callable[[], None]) -> Result:
    """Run a step, and let something happen as soon as it has said this; at once for no line."""
    if not line:
        event()
    with subprocess.Popen(
        device.command(words), env=device.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for each in process.stderr:
            if line and line in each and line not in said:
                event()
            said += each
    assert not line or line in said, said
    return Result(process.returncode, "", said)


def wait_out(device: LocalDevice) -> None:
    """As if the pause after a failure had passed."""
    file = instance_of(device).state_file
    kept = json.loads(file.read_text()) if file.exists() else {}
    if kept.get("next_attempt_s"):
        file.write_text(json.dumps({**kept, "next_attempt_s": 1}))


@pytest.mark.parametrize(
    ("words", "line"),
    [(RENEW, ""), (RENEW, "token received"), (VERIFY, ""), (VERIFY, PROMOTED)],
    ids=["before renew", "within renew", "before verify", "within verify"],
)
def test_cut_for_a_moment(device: LocalDevice, matrix: Matrix, words: str, line: str) -> None:
    """One cut a step; the way is back for the next run at the latest."""
    with relayed(device, "http", "mqtt") as relays, matrix.case(f"{words}, cut {f'at {line!r}' if line else 'before'}"):
        if words == VERIFY:
            issue(device)

        def cut() -> None:
            for relay in relays.values():
                relay.end()
            if line == PROMOTED:
                relays["mqtt"].mend()

        done = run_until(device, words, line, cut)
        matrix.said(done.stderr)
        assert done.exit == (0 if line == PROMOTED else 1), done
        for relay in relays.values():
            relay.mend()
        wait_out(device)
        last = hour(device)
        assert last.result in ("success", "exec-condition"), last.said
        expect_good(device, done.stderr + last.said)


@pytest.mark.whole
@pytest.mark.parametrize("line", ["", PROMOTED], ids=["before verify", "within verify"])
@pytest.mark.parametrize("alone", [True, False], ids=["bridge alone", "everybody"])
def test_a_way_that_drops_everything_in_silence(device: LocalDevice, matrix: Matrix, line: str, alone: bool) -> None:
    """The bridge's connection is half open: it takes its keep-alive, and verify its minute, to see that."""
    with relayed(device, "mqtt") as relays, matrix.case(f"{'bridge alone' if alone else 'everybody'}: {line}"):
        relay = relays["mqtt"]
        issue(device)
        if alone:
            mqtt = device.tenant.mqtt_port
            configure(device, f'mqtt = "127.0.0.1:{relay.port}"', f'mqtt = "127.0.0.1:{mqtt}"')
        done = run_until(device, VERIFY, line, relay.freeze)
        matrix.said(done.stderr)
        assert done.exit in (0, 1, 3), done
        relay.mend()
        with Local(device) as local:
            local.wait_health("1")
        wait_out(device)
        last = hour(device)
        assert last.result in ("success", "exec-condition"), last.said
        # A connection begun while the previous certificate was back, and thawed, goes on with that one: the next reads
        # the new one.
        relay.end()
        relay.mend()
        expect_good(device, done.stderr + last.said)


@pytest.mark.parametrize("lost", [False, True], ids=["connected", "never connected"])
def test_a_second_bridge(device: LocalDevice, matrix: Matrix, tmp_path: Path, lost: bool) -> None:
    """An administrator's own bridge to another place: its state says nothing about ours."""
    port = free_port()
    other = tmp_path / "other.conf"
    other.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    (device.directory / "mosquitto-conf" / "other-bridge.conf").write_text(
        f"connection other\naddress 127.0.0.1:{free_port() if lost else port}\nrestart_timeout 1 1\n"
        "notifications true\ntopic # both 1 remote/\n"
    )
    assert MOSQUITTO
    with subprocess.Popen([MOSQUITTO, "-c", str(other)], stderr=subprocess.DEVNULL) as process:
        connect(device)
        with matrix.case(f"a second bridge, {'never connected' if lost else 'connected'}"):
            run = hour(device)
            assert run.result == "success", run.said
            assert serials(device)[1:] == (None, None)
            expect_good(device, run.said)
        process.terminate()
