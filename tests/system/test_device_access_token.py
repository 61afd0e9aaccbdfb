# SPDX-License-Identifier: Apache-2.0
"""A tenant that gives tokens for client certificates: renewal without MQTT, and at most one interruption."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from system.device import Device
from system.devices import Devices
from system.onboarding import TENANT, connect, introduce
from system.renewer import CANDIDATE, CERTIFICATE, PREVIOUS, main_status, make_due, said, serial, start
from tenant.client import Tenant

FACT = "/run/tedge-cert-renewer/c8y.access-token"
URL = f"https://{TENANT}:8443/devicecontrol/deviceAccessToken"


@pytest.fixture
def device_off(devices: Devices) -> Device:
    """Return a device that is off and has our package."""
    return devices.make("installed")


@pytest.fixture
def tenant(device_off: Device, tmp_path: Path) -> Iterator[Tenant]:
    """Return a tenant that listens for client certificates where the product looks for it."""
    address = device_off.network.host
    with Tenant.start(tmp_path / "tenant", [TENANT, address], address, token_port=8443) as running:
        yield running


@pytest.fixture
def connected(device_off: Device, tenant: Tenant) -> Device:
    """Return a booted device that is registered with it and connected."""
    introduce(device_off, tenant, device_off.network.host)
    device_off.boot()
    connect(device_off, tenant)
    return device_off


def test_the_bridge_is_interrupted_once(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    broker = connected.unit("mosquitto.service", "MainPID")
    make_due(connected)
    run = start(connected)
    assert (run.exit_code, run.outcome) == (0, "success"), run.lines
    assert said(run, f"token received from {URL}")
    assert said(run, f"proof: {URL} gave a token for it")
    assert said(run, "confirmed: the bridge is connected with it")
    seen = tenant.wait_connected(connected.name, not_serial=old)
    assert seen["evictions"] == 1
    assert connected.unit("mosquitto.service", "MainPID") == broker
    assert connected.read(FACT) == f"offered: {URL}"
    facts = connected.stat(FACT)
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o644)
    assert not connected.exists(PREVIOUS)
    connected.reboot()
    assert not connected.exists(FACT)


def test_a_refused_candidate_costs_no_interruption(connected: Device, tenant: Tenant) -> None:
    old, before = serial(tenant, connected), connected.read(CERTIFICATE)
    connections = len(tenant.device(connected.name)["connections"])
    tenant.fault(where="access", do="tls-revoked", except_serials=[old])
    make_due(connected)
    run = start(connected)
    assert run.outcome == "failed"
    assert main_status(connected) == "3"
    assert said(run, "TLS alert: certificate revoked"), run.lines
    assert said(run, "the current certificate stays in use")
    assert connected.read(CERTIFICATE) == before
    assert not connected.exists(CANDIDATE)
    seen = tenant.device(connected.name)
    assert (seen["serial"], seen["evictions"], len(seen["connections"])) == (old, 0, connections)


def test_renewal_with_mosquitto_stopped(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    connected.systemctl("stop", "mosquitto.service")
    make_due(connected)
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert said(run, f"token received from {URL}")
    assert said(run, "there is no bridge to wait for: a connection of our own decides")
    connected.systemctl("start", "mosquitto.service")
    tenant.wait_connected(connected.name, not_serial=old)


def test_a_tenant_that_withdraws_it(connected: Device, tenant: Tenant) -> None:
    old = serial(tenant, connected)
    tenant.settings(device_access_token=False)
    make_due(connected)
    run = start(connected)
    assert run.outcome == "success", run.lines
    assert said(run, "token received through the bridge")
    assert connected.read(FACT) == f"not offered: {URL}"
    assert tenant.wait_connected(connected.name, not_serial=old)["evictions"] == 1
