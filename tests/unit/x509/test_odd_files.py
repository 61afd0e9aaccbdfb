# SPDX-License-Identifier: Apache-2.0
"""Pipes, links and directories in the place of a certificate, a candidate or a key."""

import os

import pytest

from tenant.client import Tenant
from unit.connected import certify
from unit.local_device import LocalDevice

HANGS_S = 20


@pytest.mark.parametrize("name", ["certs/cert.pem", "tedge.toml"])
def test_a_pipe_holds_nobody_up(local_device: LocalDevice, name: str) -> None:
    certify(local_device)
    path = local_device.directory / name
    path.unlink()
    os.mkfifo(path)
    assert local_device.run("tedge-cert-needs-renewal --systemd c8y", HANGS_S).exit == 255
    assert local_device.run("tedge-cert-show", HANGS_S).exit == 1


def test_a_pipe_is_no_key(local_device: LocalDevice) -> None:
    certify(local_device)
    key = local_device.directory / "certs" / "key.pem"
    key.unlink()
    os.mkfifo(key)
    done = local_device.run("tedge-cert-renew c8y", HANGS_S)
    assert done.exit == 1
    assert f"cannot read the private key {key}: is not a regular file" in done.stderr


def test_a_link_to_the_certificate_is_not_replaced_by_a_file(local_device: LocalDevice) -> None:
    certify(local_device)
    elsewhere = local_device.directory / "elsewhere.pem"
    local_device.certificate.rename(elsewhere)
    local_device.certificate.symlink_to(elsewhere)
    done = local_device.run("tedge-cert-renew c8y")
    assert done.exit == 1
    assert f"set device.cert_path to the file itself: {elsewhere}" in done.stderr
    assert local_device.certificate.is_symlink()


def test_nothing_is_asked_for_that_could_not_be_written(local_device: LocalDevice, tenant: Tenant) -> None:
    certify(local_device)
    local_device.candidate.mkdir()
    asked = len(tenant.state()["requests"])
    done = local_device.run("tedge-cert-renew c8y")
    assert done.exit == 1
    assert f"{local_device.candidate} is a directory, where a certificate belongs; remove it" in done.stderr
    assert len(tenant.state()["requests"]) == asked


def test_a_forged_token_is_not_believed_twice(local_device: LocalDevice, tenant: Tenant) -> None:
    certify(local_device)
    local_device.connect()
    tenant.settings(lifetime_s=400 * 86_400)
    tenant.fault(where="est", do="status", status=401, times=1)
    done = local_device.run("tedge-cert-renew c8y")
    assert done.exit == 0, done
    assert "the first token was refused" in done.stderr
    assert "token received over a connection of our own" in done.stderr
