# SPDX-License-Identifier: Apache-2.0
"""A private key in a PKCS#11 token (SoftHSM): made, registered, renewed and used for TLS by the commands."""

from pathlib import Path

import pytest
from cryptography import x509

from unit import hardware
from unit.connected import connect
from unit.local_device import LocalDevice

PIN = "471100"


@pytest.fixture
def device(local_device: LocalDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalDevice:
    """A device with a token that holds no key yet."""
    directory = tmp_path / "token"
    directory.mkdir()
    for name, value in hardware.bare_token(directory, PIN).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "pin").write_text(PIN + "\n")
    for words in (
        f"device.cryptoki.module_path {hardware.MODULE}",
        f"device.cryptoki.pin_path {tmp_path}/pin",
        "device.cryptoki.mode module",
    ):
        assert local_device.run(f"tedge-config set {words}").exit == 0
    return local_device


def key_of(device: LocalDevice) -> Path:
    return device.certificate.with_name("key.pem")


def test_a_device_lives_with_a_key_in_a_token(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    made = device.run("tedge-hsm create-key c8y")
    assert made.exit == 0, made.stderr
    assert key_of(device).stat().st_mode & 0o777 == 0o640
    before = key_of(device).read_bytes()
    assert before.startswith(b"-----BEGIN PKCS#11 PROVIDER URI-----\n")
    assert device.run("tedge-config get c8y.device.key_uri").stdout.startswith("pkcs11:model=SoftHSM%20v2;")
    registered = device.register()
    assert registered.exit == 0, registered.stderr
    # systemd gives these to mosquitto.
    for line in (device.directory / "openssl.env").read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    connect(device)
    renewed = device.run("tedge-cert-renew c8y")
    assert renewed.exit == 0, renewed.stderr
    first = x509.load_pem_x509_certificate(device.certificate.read_bytes()).serial_number
    broker = device.broker_pid
    verified = device.run("tedge-cert-verify c8y")
    assert verified.exit == 0, verified.stderr
    assert x509.load_pem_x509_certificate(device.certificate.read_bytes()).serial_number != first
    assert (device.broker_pid, device.run("tedge-connect c8y --test").exit) == (broker, 0)
    assert device.run("tedge-http get /c8y/tenant/currentTenant").exit == 0
    request = device.run("tedge-cert-create-csr c8y")
    assert request.exit == 0, request.stderr
    # Typed again, it takes the key that is there.
    again = device.run("tedge-hsm create-key c8y")
    assert (again.exit, key_of(device).read_bytes()) == (0, before), again.stderr
