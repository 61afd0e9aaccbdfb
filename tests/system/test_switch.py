# SPDX-License-Identifier: Apache-2.0
"""The switch while tenant or network fails: each possible end of a candidate."""

import pytest

from system.device import Device
from system.renewer import (
    CANDIDATE,
    CERTIFICATE,
    PREVIOUS,
    SERVICE,
    main_status,
    make_due,
    said,
    serial,
    start,
)
from tenant.client import Tenant


def test_candidate_refused_at_mqtt_is_removed_and_nothing_changes(connected: Device, tenant: Tenant) -> None:
    old, before = serial(tenant, connected), connected.read(CERTIFICATE)
    tenant.fault(where="mqtt", do="connack", code=5, except_serials=[old])
    make_due(connected)
    run = start(connected)
    assert run.outcome == "failed"
    assert main_status(connected) == "3"
    assert said(run, "CONNACK 5"), run.lines
    assert said(run, "the current certificate stays in use")
    assert said(run, "removed the rejected candidate")
    assert connected.read(CERTIFICATE) == before
    assert not connected.exists(CANDIDATE)
    assert tenant.wait_connected(connected.name)["serial"] == old
    assert tenant.device(connected.name)["evictions"] == 0


def test_what_a_person_rejected_is_not_removed_by_a_run_that_fails(connected: Device) -> None:
    """The unit fails before its verify; the record of a verify by hand does not belong to this run."""
    connected.write(CANDIDATE, "garbage", owner="tedge:mosquitto")
    assert connected.run("tedge cert verify c8y", check=False).exit_code == 3
    connected.write("/etc/tedge/tedge.toml", "garbage")
    assert start(connected).outcome == "failed"
    assert connected.read(CANDIDATE) == "garbage"


def test_certificate_refused_after_the_proof_is_rolled_back(connected: Device, tenant: Tenant) -> None:
    old, before = serial(tenant, connected), connected.read(CERTIFICATE)
    tenant.fault(where="mqtt", do="connack", code=5, except_serials=[old], accept_first=1)
    make_due(connected)
    run = start(connected)
    assert run.outcome == "failed"
    assert main_status(connected) == "3"
    assert said(run, "the previous certificate is active again"), run.lines
    assert connected.read(CERTIFICATE) == before
    assert not connected.exists(PREVIOUS)
    assert not connected.exists(CANDIDATE)
    assert tenant.wait_connected(connected.name, timeout_s=60)["serial"] == old


def test_network_gone_after_the_promotion_is_finished_by_the_next_run(connected: Device, tenant: Tenant) -> None:
    old, before = serial(tenant, connected), connected.read(CERTIFICATE)
    make_due(connected)
    # The bridge of mosquitto 2.1 is back after 0.4 s, before the link would be down.
    tenant.fault(where="mqtt", do="slow-connack", delay_s=2, except_serials=[old])
    after = connected.cursor()
    connected.systemctl("start", "--no-block", SERVICE)
    connected.await_entry(lambda entry: "is now the active certificate" in entry.message, after=after)
    connected.cut()
    connected.await_entry(lambda entry: "Failed to start" in entry.message, after=after, timeout_s=300)
    assert main_status(connected) == "1"
    assert connected.read(PREVIOUS) == before
    connected.restore()
    connected.run("tedge config set certificate.validity.minimum_duration 30d")
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert said(run, "unfinished")
    assert not connected.exists(PREVIOUS)
    assert tenant.wait_connected(connected.name)["serial"] != old


@pytest.mark.own_device
def test_power_cut_after_the_promotion_is_finished_after_the_boot(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    make_due(connected)
    after = connected.cursor()
    connected.systemctl("start", "--no-block", SERVICE)
    connected.await_entry(lambda entry: "is now the active certificate" in entry.message, after=after)
    connected.power_cut()
    connected.boot()
    new = tenant.wait_connected(connected.name, not_serial=old)["serial"]
    if connected.exists(PREVIOUS):
        run = start(connected)
        assert run.outcome == "success", run.lines
    assert not connected.exists(PREVIOUS)
    assert tenant.wait_connected(connected.name, serial=new)


def test_broker_restarted_after_the_promotion_is_looked_for_anew(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    make_due(connected)
    after = connected.cursor()
    connected.systemctl("start", "--no-block", SERVICE)
    connected.await_entry(lambda entry: "is now the active certificate" in entry.message, after=after)
    connected.systemctl("restart", "mosquitto.service")
    connected.await_entry(lambda entry: "confirmed" in entry.message, after=after, timeout_s=50)
    assert tenant.wait_connected(connected.name, not_serial=old)
    assert not connected.exists(PREVIOUS)


def test_slow_acknowledgement_does_not_make_bridge_and_probe_chase_each_other(
    connected: Device, tenant: Tenant
) -> None:
    old = serial(tenant, connected)
    tenant.fault(where="mqtt", do="slow-puback", delay_s=5, topic="s/us", except_serials=[old])
    make_due(connected)
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert said(run, "may have reconnected with the old certificate")
    assert tenant.wait_connected(connected.name, not_serial=old)
    assert tenant.device(connected.name)["evictions"] <= 3
