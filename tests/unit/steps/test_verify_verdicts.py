# SPDX-License-Identifier: Apache-2.0
"""Step 3: what counts as the tenant's refusal of a candidate, and what is no verdict."""

from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.tenant import own_connection
from tedge_cert.x509 import certificate
from unit import connected, recipes
from unit.connected import certify, connect, digest, instance_of, issue, rejected, serials
from unit.local_device import LocalDevice
from unit.switching import contacts, verify

MIB = 1 << 20


@pytest.mark.parametrize(
    ("fault", "evictions"),
    [
        ({"do": "connack", "code": 5}, 0),
        ({"do": "connack", "code": 4}, 0),
        ({"do": "connack", "code": 2}, 0),
        ({"do": "tls-unknown-ca"}, 0),
        ({"do": "tls-revoked"}, 0),
        ({"do": "close-after-connack"}, 1),
    ],
)
def test_refused(local_device: LocalDevice, mocker: MockerFixture, fault: dict[str, Any], evictions: int) -> None:
    connected.hurry(mocker)
    old = certify(local_device)
    connect(local_device)
    new = issue(local_device)
    local_device.tenant.fault(where="mqtt", serials=[new], **fault)
    attempts = contacts(local_device)
    code, said = verify(local_device)
    assert (code, serials(local_device)) == (3, (old, new, None))
    assert f"new certificate {local_device.candidate} rejected: " in said
    assert f"the current certificate stays in use: {local_device.certificate}" in said
    assert rejected(local_device) == digest(local_device.candidate)
    seen = local_device.tenant.wait_connected(local_device.device_id, serial=old)
    assert seen["evictions"] >= evictions
    assert contacts(local_device) >= attempts + 5
    recipes.clean_up(instance_of(local_device))
    assert (serials(local_device), rejected(local_device)) == ((old, None, None), None)


@pytest.mark.parametrize("fault", [{"do": "tls-unknown-ca"}, {"do": "tls-revoked"}, {"do": "connack", "code": 5}])
def test_another_authority_that_the_tenant_does_not_know_is_waited_for(
    local_device: LocalDevice, mocker: MockerFixture, fault: dict[str, Any]
) -> None:
    connected.hurry(mocker)
    # Of the root, because the tenant issues the candidate by its intermediate authority.
    local_device.tenant.settings(intermediate=False)
    old = certify(local_device)
    local_device.tenant.settings(intermediate=True)
    new = issue(local_device)
    local_device.tenant.fault(where="mqtt", serials=[new], **fault)
    code, said = verify(local_device)
    recipes.clean_up(instance_of(local_device))
    if fault["do"] != "tls-unknown-ca":
        assert (code, serials(local_device)) == (3, (old, None, None))
        assert ("says that the certificate is revoked" in said) is (fault["do"] == "tls-revoked")
        return
    assert (code, serials(local_device)) == (1, (old, new, None))
    issuer = certificate.load(local_device.candidate).issuer
    host = local_device.tenant.address
    assert f"{local_device.candidate} is issued by {issuer}, which {host} does not trust yet: add the" in said
    assert "Trusted certificates), by hand or by `tedge cert upload c8y --authority`" in said


@pytest.mark.parametrize(
    ("fault", "broker", "said"),
    [
        ({"do": "connack", "code": 3}, True, "answered CONNACK 3"),
        ({"do": "connack", "code": 1}, False, "no answer from 127.0.0.1:"),
        ({"do": "reset"}, True, "no answer from 127.0.0.1:"),
        ({"do": "close"}, False, "no answer from 127.0.0.1:"),
        ({"do": "silent-after-connect"}, True, "no CONNACK in time"),
        ({"do": "silent-at-accept"}, False, "no answer from 127.0.0.1:"),
        ({"do": "reset-at-accept"}, True, "no answer from 127.0.0.1:"),
    ],
)
def test_no_verdict(
    local_device: LocalDevice, mocker: MockerFixture, fault: dict[str, Any], broker: bool, said: str
) -> None:
    connected.hurry(mocker)
    # Of the tenant only, and long enough for a handshake on a busy machine.
    usual_s = own_connection.CONNECT_S
    mocker.patch.object(own_connection, "CONNECT_S", 2.0)
    old = certify(local_device)
    if broker:
        connect(local_device)
    new = issue(local_device)
    if not fault["do"].endswith("at-accept"):
        fault = {**fault, "serials": [new]}
    local_device.tenant.fault(where="mqtt", **fault)
    code, text = verify(local_device)
    assert (code, serials(local_device), rejected(local_device)) == (1, (old, new, None), None)
    assert said in text
    assert f"{local_device.candidate} is kept for the next run" in text
    recipes.clean_up(instance_of(local_device))
    assert serials(local_device) == (old, new, None)
    local_device.tenant.clear_faults()
    mocker.patch.object(own_connection, "CONNECT_S", usual_s)
    assert (verify(local_device)[0], serials(local_device)) == (0, (new, None, None))


def test_no_puback_is_no_verdict(local_device: LocalDevice, mocker: MockerFixture) -> None:
    connected.hurry(mocker, PUBACK_S=0.5)
    old = certify(local_device)
    new = issue(local_device)
    local_device.tenant.fault(where="mqtt", do="no-puback", serials=[new])
    code, text = verify(local_device)
    assert (code, serials(local_device)) == (1, (old, new, None))
    assert "no PUBACK in time" in text


def test_a_server_that_is_not_trusted(local_device: LocalDevice, mocker: MockerFixture) -> None:
    connected.hurry(mocker)
    old = certify(local_device)
    new = issue(local_device)
    connected.configure(local_device, str(local_device.tenant.server_ca), str(local_device.tenant.device_ca))
    code, text = verify(local_device)
    assert (code, serials(local_device)) == (1, (old, new, None))
    assert f"set c8y.root_cert_path ({local_device.tenant.device_ca})" in text


@pytest.mark.parametrize(
    ("fault", "code"),
    [({"do": "slow-puback", "delay_s": 0}, 0), ({"do": "tls-unknown-ca"}, 3), ({"do": "reset"}, 1)],
)
def test_the_executable(local_device: LocalDevice, fault: dict[str, Any], code: int) -> None:
    old = certify(local_device)
    new = issue(local_device)
    local_device.tenant.fault(where="mqtt", serials=[new], **fault)
    result = local_device.run("tedge-cert-verify c8y")
    assert (result.exit, result.stdout) == (code, "")
    assert serials(local_device) == ((new, None, None) if code == 0 else (old, new, None))
    assert result.stderr.splitlines()[-1].startswith("confirmed: " if code == 0 else "error: ")
    assert f"Validating new certificate: {local_device.candidate}... {'✗' if code else '✓'}" in result.stderr
    assert local_device.run("tedge-cert-cleanup c8y").exit == 0
    assert local_device.candidate.exists() == (code == 1)
