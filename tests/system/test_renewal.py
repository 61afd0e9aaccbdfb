# SPDX-License-Identifier: Apache-2.0
"""The service on a connected device: nothing to do, a renewal, a device without broker, two runs at once."""

from bench.traffic import Traffic
from system.device import Device
from system.renewer import (
    CANDIDATE,
    CERTIFICATE,
    DIRECTORY,
    KEY,
    PREVIOUS,
    SERVICE,
    enrolments,
    main_status,
    make_due,
    said,
    serial,
    start,
    wait_out,
)
from tenant.client import Tenant


def test_nothing_due_is_one_line_and_no_failure(connected: Device) -> None:
    connected.write(CANDIDATE, "an administrator's own\n")
    run = start(connected)
    assert (run.exit_code, run.outcome) == (0, "skipped")
    assert len(run.lines) == 1, run.lines
    assert "valid for 364d 23h, renewing below 3" in run.lines[0]
    assert run.lines[0].endswith(" of the spread): nothing to do")
    assert connected.read(CANDIDATE) == "an administrator's own\n"


def test_due_certificate_is_replaced_and_nobody_notices(connected: Device, tenant: Tenant) -> None:
    old, key = serial(tenant, connected), connected.read(KEY)
    broker = connected.unit("mosquitto.service", "MainPID")
    watcher = connected.subscribe("#")
    make_due(connected)
    run = start(connected)
    assert (run.exit_code, run.outcome) == (0, "success"), run.lines
    new = tenant.wait_connected(connected.name, not_serial=old)["serial"]
    assert new == tenant.device(connected.name)["issued"][-1]["serial"]
    assert connected.read(KEY) == key
    assert not connected.exists(CANDIDATE)
    assert not connected.exists(PREVIOUS)
    facts = connected.stat(CERTIFICATE)
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o644)
    assert connected.unit("mosquitto.service", "MainPID") == broker
    assert sum("CONNACK" in line for line in watcher.lines) == 1
    assert said(run, f"confirmed: the bridge is connected with it; serial {int(new):x}")
    assert said(run, "token received through the bridge")
    assert tenant.device(connected.name)["evictions"] == 1


def test_certificate_and_key_are_replaced_together_and_nobody_notices(connected: Device, tenant: Tenant) -> None:
    old, key, facts = serial(tenant, connected), connected.read(KEY), connected.stat(KEY)
    connected.run("tedge config set certificate.rotate_key true")
    make_due(connected)
    with Traffic(connected, tenant) as traffic:
        run = start(connected)
        assert run.outcome == "success", run.lines
        tenant.wait_connected(connected.name, not_serial=old)
        account = traffic.stop()
    assert (account.lost, account.disconnects, account.unacknowledged) == (0, 0, 0), account
    assert connected.read(KEY) != key
    made = connected.stat(KEY)
    assert (made.owner, made.group, made.mode) == (facts.owner, facts.group, facts.mode)
    assert said(run, f"its new private key is now the active key {KEY}")
    left = [each for each in connected.run(f"ls -A {DIRECTORY}").stdout.split() if "new" in each or "previous" in each]
    assert left == []


def test_renewal_works_with_mosquitto_stopped(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    connected.systemctl("stop", "mosquitto.service")
    make_due(connected)
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert said(run, "token received over a connection of our own")
    assert said(run, "there is no bridge to wait for")
    connected.systemctl("start", "mosquitto.service")
    tenant.wait_connected(connected.name, not_serial=old)
    assert not connected.exists(PREVIOUS)


def test_network_cut_fails_in_one_line_and_keeps_all(connected: Device, tenant: Tenant) -> None:
    before = connected.read(CERTIFICATE)
    make_due(connected)
    connected.cut()
    run = start(connected)
    assert run.outcome == "failed"
    assert said(run, "no token: no token came through the bridge"), run.lines
    assert connected.read(CERTIFICATE) == before
    connected.restore()
    held = start(connected)
    assert held.outcome == "failed"
    assert said(held, "the authority is not asked before "), held.lines
    wait_out(connected)
    assert start(connected).outcome == "success"


def test_candidate_without_verdict_is_used_by_the_next_run(connected: Device, tenant: Tenant) -> None:
    tenant.fault(where="mqtt", do="reset", except_serials=[serial(tenant, connected)])
    make_due(connected)
    run = start(connected)
    assert run.outcome == "failed"
    assert main_status(connected) == "1"
    assert said(run, f"{CANDIDATE} is kept for the next run"), run.lines
    candidate = connected.read(CANDIDATE)
    tenant.clear_faults()
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert said(run, "still fits and is used")
    assert connected.read(CERTIFICATE) == candidate
    assert enrolments(tenant) == 1


def test_two_runs_at_once_end_in_one_certificate(connected: Device, tenant: Tenant) -> None:
    tenant.settings(lifetime_s=400 * 86_400)
    make_due(connected)
    connected.systemctl("start", "--no-block", SERVICE)
    by_hand = connected.run("tedge cert renew c8y; echo $?; tedge cert verify c8y; echo $?", timeout_s=200)
    connected.wait_for(f"test $(systemctl show -P ActiveState {SERVICE}) != activating", 200)
    assert not connected.exists(PREVIOUS)
    connected.run(f"openssl x509 -noout -in {CERTIFICATE}")
    assert by_hand.stdout.splitlines()[-1] == "0", by_hand
    issued = {each["serial"] for each in tenant.device(connected.name)["issued"]}
    assert serial(tenant, connected) in issued
    check = connected.run(f"openssl x509 -noout -pubkey -in {CERTIFICATE}; openssl pkey -pubout -in {KEY}").stdout
    assert check[: len(check) // 2] == check[len(check) // 2 :]
