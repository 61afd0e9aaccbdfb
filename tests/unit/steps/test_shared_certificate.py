# SPDX-License-Identifier: Apache-2.0
"""Two instances share a certificate, each with its own tenant: one switch for both, and one refusal stops it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import conf_files, mosquitto_conf
from tedge_cert.bridge.mosquitto_conf import listener_text
from tedge_cert.device import profiles
from tedge_cert.device.connection_settings import files_of, mosquitto_of, tenant_of
from tedge_cert.device.instance import Instance, load_instance
from tenant.client import Tenant
from unit import recipes
from unit.connected import (
    certify,
    hurry,
    instance_of,
    issue,
    key_file,
    outcome,
    rejected,
    second_tenant,
    serial_of,
    serials,
)
from unit.local_device import LocalDevice
from unit.pairs import candidate_key, issue_pair


@pytest.fixture
def second(local_device: LocalDevice, mocker: MockerFixture, tmp_path: Path) -> Iterator[Tenant]:
    """Another tenant that trusts the same authority; the device is connected with both, by one certificate."""
    hurry(mocker)
    certify(local_device)
    with second_tenant(local_device, tmp_path / "second") as running:
        for each in (instance_of(local_device), other(local_device)):
            wanted, of = mosquitto_of(each, tenant_of(each)), files_of(each)
            conf_files.listener_placement(of).put(listener_text(wanted.listener))
            conf_files.bridge_placement(of).put(mosquitto_conf.bridge_text(wanted))
        local_device.start_broker()
        local_device.tenant.wait_connected(local_device.device_id)
        running.wait_connected(local_device.device_id)
        yield running
        local_device.stop_broker()


def other(device: LocalDevice) -> Instance:
    return load_instance("c8y", "p", str(device.directory))


def verify(instance: Instance) -> tuple[int, str]:
    return outcome(lambda: recipes.verify(instance))


def test_who_shares(local_device: LocalDevice, second: Tenant) -> None:
    both = [["c8y", "c8y@p"], ["c8y@p", "c8y"]]
    found = [[e.name for e in profiles.sharing(i)] for i in (instance_of(local_device), other(local_device))]
    assert found == both
    other(local_device).bridge_file.unlink()
    assert [each.name for each in profiles.sharing(instance_of(local_device))] == ["c8y"]


@pytest.mark.parametrize("by_profile", [True, False])
def test_both_confirm(local_device: LocalDevice, second: Tenant, by_profile: bool) -> None:
    new = issue(local_device)
    instance = other(local_device) if by_profile else instance_of(local_device)
    assert (verify(instance), serials(local_device)) == ((0, ""), (new, None, None))
    for tenant in (local_device.tenant, second):
        tenant.wait_connected(local_device.device_id, serial=new)


@pytest.mark.parametrize("by_profile", [True, False])
@pytest.mark.parametrize("accept_first", [0, 1])
def test_the_refusal_of_one_is_that_of_all(
    local_device: LocalDevice, second: Tenant, by_profile: bool, accept_first: int
) -> None:
    """Before the rename, and after it."""
    old, new = serials(local_device)[0], issue(local_device)
    second.fault(where="mqtt", do="connack", code=5, serials=[new], accept_first=accept_first)
    instance = other(local_device) if by_profile else instance_of(local_device)
    code, said = verify(instance)
    assert code == 3, said
    assert f"127.0.0.1:{second.mqtt_port}" in said
    left = new if not accept_first else None
    assert serials(local_device) == (old, left, None)
    assert rejected(local_device) is None or not by_profile
    for tenant in (local_device.tenant, second):
        tenant.wait_connected(local_device.device_id, serial=old)


@pytest.mark.parametrize("refused", [True, False])
def test_a_new_key_goes_with_the_certificate_for_all(local_device: LocalDevice, second: Tenant, refused: bool) -> None:
    """One tenant refuses the pair after the other one has confirmed it."""
    old, former = serials(local_device)[0], key_file(local_device).read_bytes()
    issue_pair(local_device)
    new, made = serial_of(local_device.candidate), candidate_key(local_device).read_bytes()
    if refused:
        second.fault(where="mqtt", do="connack", code=5, serials=[new], accept_first=1)
    code, said = verify(instance_of(local_device))
    assert code == (3 if refused else 0), said
    assert key_file(local_device).read_bytes() == (former if refused else made)
    for tenant in (local_device.tenant, second):
        tenant.wait_connected(local_device.device_id, serial=old if refused else new)
    left = {each.name for each in local_device.certificate.parent.iterdir()} - {"device.csr"}
    assert left == {"cert.pem", "key.pem"}


@pytest.mark.parametrize("refused", [True, False])
def test_an_unfinished_switch(local_device: LocalDevice, second: Tenant, refused: bool) -> None:
    active = serials(local_device)[0]
    previous = issue(local_device, local_device.previous, days=9)
    if refused:
        second.fault(where="mqtt", do="connack", code=5, serials=[active])
    code, _ = verify(instance_of(local_device))
    assert (code, serials(local_device)) == ((3, (previous, None, None)) if refused else (0, (active, None, None)))
    expected = previous if refused else active
    for tenant in (local_device.tenant, second):
        tenant.wait_connected(local_device.device_id, serial=expected)


def test_without_the_answer_of_one_nothing_is_switched(local_device: LocalDevice, second: Tenant) -> None:
    old, new = serials(local_device)[0], issue(local_device)
    second.fault(where="mqtt", do="reset", serials=[new])
    code, said = verify(instance_of(local_device))
    assert (code, serials(local_device)) == (1, (old, new, None))
    assert f"127.0.0.1:{second.mqtt_port}" in said
