# SPDX-License-Identifier: Apache-2.0
"""The worst days of a device that the mapper of thin-edge connects: what happens to mapper and broker in mid-run."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import kinds
from tedge_cert.bridge import mapper as mapper_module
from tedge_cert.bridge.mapper import MapperBridge
from tedge_cert.device.instance import load_instance
from tedge_cert.hourly import mapper_process
from tedge_cert.steps import verify as verification
from tedge_cert.steps.switch import Switch
from unit.connected import (
    after,
    before,
    broker_of,
    certify,
    digest,
    issue,
    rejected,
    second_tenant,
    serial_of,
    serials,
)
from unit.guarded_broker import PASSWORD, USER, guard, introduce
from unit.local_device import LocalDevice
from unit.mapper_device import BRIDGE_FILE, StandIn, await_health, cgroups_of, connected, mapped, publish
from unit.steps.test_mapper import shorten
from unit.switching import verify


@pytest.mark.parametrize("helps", [True, False])
def test_a_mapper_that_ends_whenever_it_starts(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], helps: bool
) -> None:
    """If it runs with the previous certificate, that one is restored; otherwise the new one stays, with a warning."""
    shorten(mocker, RESTART_S=10.0, CONNECT_S=8.0, SETTLE_S=1.0)
    mocker.patch.object(mapper_process, "CGROUPS", str(cgroups_of(local_device)))
    with mapped(local_device) as mapper:
        old, new = serials(local_device)[0], issue(local_device)
        mapper.is_fit = lambda: helps and serial_of(local_device.certificate) == old
        code, said = verify(local_device)
        assert (code, serials(local_device)) == ((3, (old, new, None)) if helps else (0, (new, None, None))), said
        assert rejected(local_device) == (digest(local_device.candidate) if helps else None)
        if helps:
            local_device.tenant.wait_connected(local_device.device_id, serial=old)
        else:
            assert "see `sudo journalctl -u tedge-mapper-c8y.service`" in capsys.readouterr().err


def test_a_mapper_that_crashed_before_is_no_reason_to_go_back(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """It has a fault of its own, and says nothing of the certificate: our own connection confirms."""
    shorten(mocker, RESTART_S=4.0)
    mocker.patch.object(mapper_process, "CGROUPS", str(cgroups_of(local_device)))
    with mapped(local_device) as mapper:
        new = issue(local_device)
        mapper.is_fit = lambda: False
        mapper.restart()
        await_health(local_device, "down")
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        assert mapper.restarts == 1


def test_a_request_that_came_while_another_was_served_is_made_again(
    local_device: LocalDevice, mocker: MockerFixture
) -> None:
    """A path unit starts nothing while the service that it starts is still active."""
    shorten(mocker, ASK_AGAIN_S=0.5)
    with mapped(local_device) as mapper:
        mapper.unheard = 1
        new = issue(local_device)
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        assert mapper.restarts == 1


@pytest.mark.parametrize(
    ("owner", "name"),
    [(MapperBridge, "wait_until_idle"), (verification, "prove"), (Switch, "promote"), (MapperBridge, "restart")],
)
def test_the_broker_is_restarted_meanwhile(
    local_device: LocalDevice, mocker: MockerFixture, owner: Any, name: str
) -> None:
    """By a person, or by an upgrade of the mapper."""
    shorten(mocker)
    mocker.patch.object(mapper_process, "CGROUPS", str(cgroups_of(local_device)))
    with mapped(local_device):
        new = issue(local_device)

        def again() -> None:
            local_device.stop_broker()
            local_device.start_broker()

        after(mocker, owner, name, again)
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        local_device.tenant.wait_connected(local_device.device_id, serial=new)


def test_the_broker_is_restarted_while_an_operation_is_waited_for(
    local_device: LocalDevice, mocker: MockerFixture
) -> None:
    """The operation goes on, and so does the wait: it is retained."""
    shorten(mocker)
    mocker.patch.object(mapper_process, "CGROUPS", str(cgroups_of(local_device)))
    topic, seen = "te/device/main///cmd/firmware_update/c8y-mapper-1", []
    with mapped(local_device) as mapper:
        new = issue(local_device)
        publish(local_device, topic, '{"status":"executing"}')

        def again() -> None:
            local_device.stop_broker()
            local_device.start_broker()
            publish(local_device, topic, '{"status":"executing"}')

        def end() -> None:
            seen.append(mapper.restarts)
            publish(local_device, topic, '{"status":"successful"}')

        # It says when it begins to wait.
        events = iter((again, end))
        mocker.patch.object(mapper_module, "format_duration", side_effect=lambda _: next(events)())
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        assert (seen, mapper.restarts) == ([0], 1)


@pytest.mark.parametrize("is_refused", [False, True])
def test_profiles_that_share_a_certificate_switch_together(
    local_device: LocalDevice, mocker: MockerFixture, tmp_path: Path, is_refused: bool
) -> None:
    """Each mapper is restarted by its own request; a refusal by one tenant brings both back to the previous one."""
    shorten(mocker)
    with second_tenant(local_device, tmp_path / "second") as second, mapped(local_device) as mapper:
        instance = load_instance("c8y", "p", str(local_device.directory))
        instance.bridge_file.write_text(BRIDGE_FILE)
        with StandIn(local_device, "--prefix", "p", instance=instance) as other:
            other.start()
            second.wait_connected(local_device.device_id)
            await_health(local_device, "up")
            old, new = serials(local_device)[0], issue(local_device)
            if is_refused:
                second.fault(where="mqtt", do="connack", code=5, serials=[new], accept_first=1)
            code, said = verify(local_device)
            used = old if is_refused else new
            assert (code, serials(local_device)) == (3 if is_refused else 0, (used, None, None)), said
            for tenant in (local_device.tenant, second):
                tenant.wait_connected(local_device.device_id, serial=used)
            assert (mapper.restarts, other.restarts) == ((2, 2) if is_refused else (1, 1))


@pytest.mark.skipif(shutil.which("mosquitto_passwd") is None, reason="mosquitto is not installed")
@pytest.mark.parametrize("tls", [True, False])
def test_a_guarded_listener(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], tls: bool
) -> None:
    """The sessions of the mapper are held with its own user, and by TLS where the listener speaks it."""
    shorten(mocker)
    certify(local_device)
    directory = guard(local_device, tls=tls, users=True)
    introduce(local_device, directory, tls=tls, users=True)
    options = ["--username", USER, "--password", PASSWORD]
    if tls:
        options += ["--local-ca", f"{directory}/root.pem", "--local-pair", f"{directory}/client"]
    with connected(local_device, *options) as mapper:
        with kinds.watch(broker_of(local_device), retained_s=20) as bridge:
            assert bridge.wait_until_up(20)
        new = issue(local_device)
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        local_device.tenant.wait_connected(local_device.device_id, serial=new)
        assert mapper.restarts == 1
    assert "messages may be lost" not in capsys.readouterr().err


def test_a_certificate_that_a_person_asked_for_meanwhile_waits(
    local_device: LocalDevice, mocker: MockerFixture
) -> None:
    """`tedge cert renew` of thin-edge writes another candidate; the next run takes it."""
    shorten(mocker)
    with mapped(local_device):
        new, theirs = issue(local_device), []
        before(mocker, Switch, "promote", lambda: theirs.append(issue(local_device, days=100)))
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, theirs[0], None))
        assert (verify(local_device), serials(local_device)) == ((0, ""), (theirs[0], None, None))
        local_device.tenant.wait_connected(local_device.device_id, serial=theirs[0])
