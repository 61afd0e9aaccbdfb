# SPDX-License-Identifier: Apache-2.0
"""`tedge cert status` on a device: for root, for other users, and for failures that systemd hides."""

import json
from typing import Any

from system.device import Device
from system.renewer import CERTIFICATE, SERVICE, TIMER, start

PROGRAM = "/usr/lib/tedge-cert-renewer/tedge-cert-needs-renewal"


def status(device: Device, user: str | None = None) -> tuple[int, dict[str, Any]]:
    """Exit code, and the only instance."""
    done = device.run("tedge cert status --json", check=False, user=user)
    assert done.stderr == ""
    instance: dict[str, Any] = json.loads(done.stdout)["instances"][0]
    return done.exit_code, instance


def test_a_connected_device_is_healthy_for_root_and_for_anybody(connected: Device) -> None:
    start(connected)
    for user in (None, "nobody"):
        code, found = status(connected, user)
        assert (code, found["problems"]) == (0, []), found
        assert found["bridge"]["up"] is True
        assert found["confined"] is True
        assert found["timer"]["enabled"] is found["timer"]["active"] is True
        assert found["timer"]["next_run_s"] > found["at_s"]
    assert status(connected)[1]["key"]["fits"] is True
    screen = connected.run("tedge cert status").stdout
    assert screen.startswith("c8y\nStatus:        healthy\n")
    connected.systemctl("disable", "--now", TIMER)
    code, found = status(connected)
    assert code == 1
    assert [each["cure"] for each in found["problems"]] == [f"sudo systemctl enable --now {TIMER}"]
    connected.run(found["problems"][0]["cure"].removeprefix("sudo "))
    assert status(connected)[0] == 0


def test_a_program_that_cannot_start_is_broken_whatever_systemd_says(connected: Device) -> None:
    connected.run(f"mv {PROGRAM} /tmp/elsewhere")
    assert start(connected).outcome == "skipped"
    for user in (None, "nobody"):
        code, found = status(connected, user)
        assert code == 2
        assert "tedge-cert-needs-renewal" in found["timer"]["not_started"]
        assert "--reinstall" in found["problems"][0]["cure"]
    # The manager forgets a unit that nothing refers to; the journal does not.
    connected.systemctl("stop", TIMER)
    assert "tedge-cert-needs-renewal" in status(connected)[1]["timer"]["not_started"]
    connected.run(f"mv /tmp/elsewhere {PROGRAM}")
    connected.systemctl("start", TIMER)
    code, found = status(connected)
    assert (code, found["problems"][0]["cure"]) == (2, f"sudo systemctl start {SERVICE}")
    start(connected)
    assert status(connected)[0] == 0


def test_a_drop_in_that_takes_the_confinement_away_is_seen(connected: Device) -> None:
    connected.write(f"/etc/systemd/system/{SERVICE}.d/override.conf", "[Service]\nProtectSystem=no\n")
    connected.systemctl("daemon-reload")
    code, found = status(connected)
    assert (code, found["confined"]) == (1, False)
    assert found["problems"][0]["cure"] == f"systemctl cat {SERVICE}"


def test_after_a_cure_the_screen_does_not_wait_for_the_next_hour(connected: Device) -> None:
    """The failed run is history once its cause is gone; root's commands have systemd forget it, too."""
    for cure in ("", "tedge cert verify c8y", "tedge reconnect c8y"):
        connected.run(f"mv {CERTIFICATE} /tmp/away")
        assert start(connected).outcome == "failed"
        assert status(connected)[0] == 2
        connected.run(f"mv /tmp/away {CERTIFICATE}")
        if cure:
            connected.run(cure)
        failed = connected.unit(SERVICE, "ActiveState")["ActiveState"] == "failed"
        code, found = status(connected)
        assert (code, found["problems"], failed) == (0, [], not cure), cure


def test_what_a_user_may_not_read_is_not_known_to_them(connected: Device) -> None:
    connected.run(f"chmod 600 {CERTIFICATE}")
    code, found = status(connected, "nobody")
    assert (code, found["problems"][0]["cure"]) == (1, "sudo tedge cert status")
    assert {"certificate", "due_s", "key"} <= set(found["not_known"])
    assert status(connected)[0] == 0
    connected.run(f"chown root:root {CERTIFICATE}")
    code, found = status(connected)
    assert (code, found["problems"][0]["cure"]) == (2, "sudo tedge reconnect c8y")
    connected.run(found["problems"][0]["cure"].removeprefix("sudo "), timeout_s=120)
    assert status(connected, "nobody")[0] == 0


def test_a_device_that_was_disconnected_on_purpose_is_no_fault(connected: Device) -> None:
    connected.run("tedge disconnect c8y", timeout_s=60)
    for user in (None, "nobody"):
        code, found = status(connected, user)
        assert (code, found["problems"], found["bridge"]["configured"]) == (0, [], False)
        assert found["bridge"]["disconnected_s"] > 0
    connected.run("tedge connect c8y", timeout_s=120)
    code, found = status(connected)
    assert (code, found["bridge"]["disconnected_s"], found["bridge"]["differences"]) == (0, 0, [])


def test_the_doctor_finds_a_connected_device_well(connected: Device) -> None:
    done = connected.run("tedge cert status --online", check=False)
    assert done.exit_code == 0, done.stdout
    assert "speaks TLS with our certificate" in done.stdout
    assert "✗" not in done.stdout
    connected.cut()
    done = connected.run("tedge cert status --online", check=False, timeout_s=60)
    assert done.exit_code == 1
    assert "✗" in done.stdout
