# SPDX-License-Identifier: Apache-2.0
"""A device that the mapper of thin-edge connects: the certificate comes into use by a restart of the mapper."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import local_broker
from tedge_cert.bridge.mapper import MapperBridge
from tedge_cert.disk import files
from tedge_cert.hourly import mapper_process
from tedge_cert.status import gather, verdict
from tedge_cert.status.facts import Facts
from tedge_cert.steps import verify as verification
from tedge_cert.steps.switch import Switch
from unit.connected import (
    after,
    before,
    broker_of,
    configure,
    digest,
    hurry,
    instance_of,
    issue,
    key_file,
    rejected,
    serial_of,
    serials,
)
from unit.local_device import LocalDevice
from unit.mapper_device import BRIDGE_FILE, Telemetry, await_health, cgroups_of, mapped, publish
from unit.pairs import candidate_key, issue_pair
from unit.switching import refuse, verify


def shorten(mocker: MockerFixture, **waits: float) -> None:
    """Shorten waits, those of the mapper too."""
    hurry(mocker, **{"RESTART_S": 15.0, "CONNECT_S": 8.0, "OPERATIONS_S": 0.3, **waits})


def status_of(device: LocalDevice) -> Facts:
    return gather.gather(instance_of(device), online=False)


def hour(device: LocalDevice, cgroups: Path) -> str:
    """Run the condition of the unit, and return what it says."""
    program = (
        f"import sys; from tedge_cert.hourly import mapper_process; mapper_process.CGROUPS = {str(cgroups)!r}\n"
        "from tedge_cert.steps import needs_renewal\n"
        "sys.exit(needs_renewal.full_check(needs_renewal.parse(['--systemd', 'c8y'])))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], env=device.environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize("topic_id", ["device/main//", "device/gateway-7//"])
def test_confirmed_by_another_process(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], topic_id: str
) -> None:
    """The certificate is used; no local program loses its connection, and no message of theirs is lost."""
    shorten(mocker)
    configure(local_device, "[mqtt.bind]", f'[mqtt]\ndevice_topic_id = "{topic_id}"\n[mqtt.bind]')
    with mapped(local_device, "--topic-id", topic_id) as mapper:
        new, pid = issue(local_device), mapper.pid
        with Telemetry(local_device) as telemetry:
            assert verify(local_device) == (0, "")
        assert serials(local_device) == (new, None, None)
        assert (mapper.restarts, mapper.pid == pid) == (1, False)
        local_device.tenant.wait_connected(local_device.device_id, serial=new)
        assert len(telemetry.arrived()) == telemetry.sent > 10
        assert telemetry.losses == 0
        assert local_device.tenant.device(local_device.device_id)["evictions"] == 1
        assert "confirmed: the bridge is connected with it" in capsys.readouterr().err


def test_a_new_key_comes_into_use_with_its_certificate(local_device: LocalDevice, mocker: MockerFixture) -> None:
    shorten(mocker)
    with mapped(local_device) as mapper:
        issue_pair(local_device)
        made, new = candidate_key(local_device).read_bytes(), serial_of(local_device.candidate)
        assert verify(local_device) == (0, "")
        assert (mapper.restarts, key_file(local_device).read_bytes()) == (1, made)
        local_device.tenant.wait_connected(local_device.device_id, serial=new)


def test_a_new_key_goes_back_with_its_certificate(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """The tenant takes the new pair, and the mapper does not come back with it."""
    shorten(mocker)
    with mapped(local_device) as mapper:
        former, old = key_file(local_device).read_bytes(), serials(local_device)[0]
        issue_pair(local_device)
        new = serial_of(local_device.candidate) or ""
        before(mocker, Switch, "promote", lambda: refuse(local_device, new))
        assert verify(local_device)[0] == 3
        assert (mapper.restarts, key_file(local_device).read_bytes()) == (2, former)
        local_device.tenant.wait_connected(local_device.device_id, serial=old)


def test_a_mapper_that_is_not_restarted_uses_the_previous_one(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """Its bridge is connected again all the same: that says nothing of the certificate."""
    shorten(mocker, RESTART_S=4.0)
    with mapped(local_device) as mapper:
        mapper.is_masked = True
        old, new = serials(local_device)[0], issue(local_device)
        code, said = verify(local_device)
        assert (code, serials(local_device)) == (1, (new, None, old))
        assert "tedge-mapper-c8y.service was not restarted within 4 s" in said
        assert "tedge-cert-renewer-mapper@c8y.path" in said
        local_device.tenant.wait_connected(local_device.device_id, serial=old)
        mapper.is_masked = False
        shorten(mocker)
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        local_device.tenant.wait_connected(local_device.device_id, serial=new)


def test_a_number_that_a_local_client_makes_up_confirms_nothing(
    local_device: LocalDevice, mocker: MockerFixture
) -> None:
    shorten(mocker, RESTART_S=4.0)
    with mapped(local_device) as mapper:
        mapper.is_masked = True
        mocker.patch.object(mapper_process, "CGROUPS", str(cgroups_of(local_device)))
        old, new = serials(local_device)[0], issue(local_device)
        topic, made_up = "te/device/main/service/tedge-mapper-c8y/status/health", iter((os.getpid(), os.getppid(), 1))

        def say() -> None:
            publish(local_device, topic, f'{{"pid":{next(made_up)},"status":"up"}}')

        after(mocker, files, "write", say, times=3)
        code, _ = verify(local_device)
        assert (code, serials(local_device)) == (1, (new, None, old))


def test_refused_after_the_promotion(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """The first word of the new process is that it is not connected, so the tenant is asked at once."""
    shorten(mocker)
    with mapped(local_device) as mapper:
        old, new = serials(local_device)[0], issue(local_device)
        before(mocker, Switch, "promote", lambda: refuse(local_device, new))
        code, said = verify(local_device)
        assert (code, serials(local_device)) == (3, (old, None, None))
        assert "the previous certificate is active again" in said
        assert mapper.restarts == 2
        local_device.tenant.wait_connected(local_device.device_id, serial=old)


@pytest.mark.parametrize("verdict", ["accepted", "refused"])
def test_a_mapper_that_is_stopped_is_not_started(
    local_device: LocalDevice, mocker: MockerFixture, verdict: str
) -> None:
    shorten(mocker)
    with mapped(local_device) as mapper:
        mapper.stop()
        await_health(local_device, "down")
        old, new = serials(local_device)[0], issue(local_device)
        if verdict == "refused":
            before(mocker, Switch, "promote", lambda: refuse(local_device, new))
        code, _ = verify(local_device)
        expected = {"accepted": (0, (new, None, None)), "refused": (3, (old, None, None))}
        assert (code, serials(local_device)) == expected[verdict]
        assert mapper.restarts == 0


@pytest.mark.parametrize("helps", [True, False])
def test_a_new_process_whose_bridge_stays_away(local_device: LocalDevice, mocker: MockerFixture, helps: bool) -> None:
    """The tenant takes the certificate: if the previous one helps, it is restored, otherwise the new one stays."""
    shorten(mocker, CONNECT_S=2.0, SETTLE_S=1.0)
    with mapped(local_device) as mapper:
        old, new = serials(local_device)[0], issue(local_device)
        options = mapper.options
        after(mocker, Switch, "promote", lambda: setattr(mapper, "options", [*options, "--cloud", "127.0.0.1:9"]))
        if helps:
            after(mocker, Switch, "put_back", lambda: setattr(mapper, "options", options))
        code, _ = verify(local_device)
        assert (code, serials(local_device)) == ((3, (old, new, None)) if helps else (0, (new, None, None)))
        assert rejected(local_device) == (digest(local_device.candidate) if helps else None)
        assert mapper.restarts == (2 if helps else 3)


@pytest.mark.parametrize("urgent", [False, True])
def test_an_operation_in_progress_is_waited_for(
    local_device: LocalDevice, mocker: MockerFixture, capsys: pytest.CaptureFixture[str], urgent: bool
) -> None:
    shorten(mocker)
    mocker.patch.object(verification, "URGENT_S", 30 * 86_400 if urgent else 0)
    topic = "te/device/main///cmd/firmware_update/c8y-mapper-1"
    with mapped(local_device) as mapper:
        issue(local_device)
        publish(local_device, topic, '{"status":"executing"}')
        seen: list[int] = []

        def end() -> None:
            seen.append(mapper.restarts)
            publish(local_device, topic, '{"status":"successful"}')

        timer = threading.Timer(2.0, end)
        timer.start()
        assert verify(local_device) == (0, "")
        timer.join()
        assert seen == [1 if urgent else 0]
        assert (f"{topic} is in progress" in capsys.readouterr().err) is not urgent


def test_without_a_broker_nothing_is_promoted(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """The mapper may run on with the certificate that it has, and nothing could tell."""
    shorten(mocker)
    with mapped(local_device) as mapper:
        old, new = serials(local_device)[0], issue(local_device)
        local_device.stop_broker()
        code, said = verify(local_device)
        assert (code, serials(local_device)) == (1, (old, new, None))
        assert "through which tedge-mapper-c8y.service is watched" in said
        local_device.start_broker()
        await_health(local_device, "up")
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        assert mapper.restarts == 1


def test_a_mapper_restarted_by_a_person_is_not_restarted_again(
    local_device: LocalDevice, mocker: MockerFixture
) -> None:
    shorten(mocker)
    with mapped(local_device) as mapper:
        local_device.previous.write_bytes(local_device.certificate.read_bytes())
        new = issue(local_device, local_device.certificate)
        mapper.stop()
        mapper.start()
        local_device.tenant.wait_connected(local_device.device_id, serial=new)
        await_health(local_device, "up")
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        assert mapper.restarts == 0


def test_a_mapper_whose_start_cannot_be_seen_is_restarted(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """It may go on with the previous certificate: a bridge that is up confirms nothing then."""
    shorten(mocker)
    with mapped(local_device) as mapper:
        local_device.previous.write_bytes(local_device.certificate.read_bytes())
        new = issue(local_device, local_device.certificate)
        mocker.patch.object(mapper_process, "_started_s", return_value=None)
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        assert mapper.restarts == 1
        local_device.tenant.wait_connected(local_device.device_id, serial=new)


def test_a_session_that_the_mapper_does_not_have_is_not_left_behind(
    local_device: LocalDevice, mocker: MockerFixture
) -> None:
    shorten(mocker)
    with mapped(local_device, "--prefix", "other"):
        broker = broker_of(local_device)
        assert broker.mapper is not None
        bridge = MapperBridge(broker, broker.mapper, 5, 0.2)
        with bridge, bridge._held_sessions() as held:
            assert held == []
        for each in broker.mapper.sessions:
            with local_broker.connect(broker, 5, client_id=each, holds_session=True) as connection:
                assert not connection.has_session


def test_held_sessions_are_taken_back_with_all_messages(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """What is published while no mapper runs is acknowledged by none but the next one."""
    shorten(mocker)
    with mapped(local_device) as mapper:
        broker = broker_of(local_device)
        assert broker.mapper is not None
        bridge = MapperBridge(broker, broker.mapper, 5, 0.2)
        with bridge, bridge._held_sessions() as held:
            assert [each.has_session for each in held] == [True, True]
            mapper.stop()
            with Telemetry(local_device, rate=100) as telemetry:
                local_device.tenant.wait_disconnected(local_device.device_id)
                telemetry.wait_sent(20)
            mapper.start()
            assert [each.wait_for_close(20) for each in held] == [True, True]
        assert len(telemetry.arrived()) == telemetry.sent >= 20


def test_a_mapper_that_starts_slowly_is_restarted_once(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """It runs with the new certificate when the next run comes, so that run only confirms."""
    shorten(mocker, RESTART_S=0.5)
    with mapped(local_device) as mapper:
        mapper.options.extend(("--start", "2"))
        old, new = serials(local_device)[0], issue(local_device)
        code, _ = verify(local_device)
        assert (code, serials(local_device)) == (1, (new, None, old))
        local_device.tenant.wait_connected(local_device.device_id, serial=new)
        await_health(local_device, "up")
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        assert mapper.restarts == 1


def test_a_reconnect_of_thin_edge_meanwhile(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """It removes the file of the bridge, restarts the broker, and starts the mapper at last."""
    shorten(mocker)
    with mapped(local_device) as mapper:
        new, file = issue(local_device), instance_of(local_device).bridge_file

        def begin() -> None:
            file.unlink()
            mapper.stop()
            local_device.stop_broker()
            threading.Timer(1.5, end).start()

        def end() -> None:
            file.write_text(BRIDGE_FILE)
            local_device.start_broker()
            mapper.start()

        after(mocker, Switch, "promote", begin)
        assert (verify(local_device), serials(local_device)) == ((0, ""), (new, None, None))
        local_device.tenant.wait_connected(local_device.device_id, serial=new)


def test_a_proof_by_a_token_pushes_nobody_out(token_device: LocalDevice, mocker: MockerFixture) -> None:
    """The mapper is away only while it restarts."""
    shorten(mocker)
    with mapped(token_device) as mapper:
        old, new = serials(token_device)[0], issue(token_device)
        assert (verify(token_device), serials(token_device)) == ((0, ""), (new, None, None))
        seen = token_device.tenant.wait_connected(token_device.device_id, serial=new)
        assert [each["serial"] for each in seen["connections"]] == [old, new]
        assert mapper.restarts == 1


def test_a_mapper_older_than_the_certificate_is_told(local_device: LocalDevice, mocker: MockerFixture) -> None:
    """A person has put the new certificate in place by hand: status and the hour say that it is not in use."""
    shorten(mocker)
    with mapped(local_device) as mapper:
        assert not status_of(local_device).bridge.uses_former
        issue(local_device, days=100)
        local_device.candidate.rename(local_device.certificate)
        found = status_of(local_device)
        assert (found.bridge.uses_former, found.bridge.mapper) == (True, "tedge-mapper-c8y.service")
        cures = [each.cure for each in verdict.problems(found)]
        assert "sudo systemctl restart tedge-mapper-c8y.service" in cures
        root = cgroups_of(local_device)
        assert "still uses the certificate" in hour(local_device, root)
        # It said so before, and says it until it is mended.
        assert "still uses the certificate" in hour(local_device, root)
        mapper.restart()
        await_health(local_device, "up")
        assert not status_of(local_device).bridge.uses_former
        assert "still uses" not in hour(local_device, root)
