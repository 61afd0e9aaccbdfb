# SPDX-License-Identifier: Apache-2.0
"""A real peer: the EST server of Debian 13's libest-utils."""

from pathlib import Path

import pytest

from tedge_cert.x509 import certificate
from unit import libest
from unit.connected import key_file, signing_request
from unit.libest import LibEst
from unit.local_device import LocalDevice, Result


@pytest.fixture(scope="module")
def program() -> str:
    found = libest.command()
    if found is None:
        pytest.skip("estserver could not be fetched from Debian's archive")
    return found


def set_up(device: LocalDevice, server: LibEst, days: float = 10, more: str = "") -> None:
    """Give the device the settings, and a certificate of the authority."""
    made = server.issue(device.device_id, days)
    device.certificate.write_bytes(made.pem + server.authority.pem)
    key_file(device).write_bytes(made.key_pem)
    file = device.directory / "tedge.toml"
    file.write_text(file.read_text() + server.settings + more)


def renew(device: LocalDevice) -> Result:
    return device.run("tedge-cert-renew c8y --ca est")


def test_registers_by_password_and_renews_by_both(local_device: LocalDevice, program: str, tmp_path: Path) -> None:
    device, file = local_device, local_device.directory / "est.toml"
    with LibEst(program, tmp_path / "est", "-b") as server:
        set_up(device, server)
        device.certificate.unlink()
        words = f"tedge-cert-download c8y --ca est --device-id {device.device_id}"
        refused = device.run(words, DEVICE_ONE_TIME_PASSWORD="wrong")
        assert refused.exit == 1
        assert "does not take user estuser with this password" in refused.stderr
        assert device.run(words, DEVICE_ONE_TIME_PASSWORD=libest.PASSWORD).exit == 0
        assert list(certificate.load(device.certificate).chain) == [server.authority.certificate]
        made = server.issue(device.device_id)
        device.certificate.write_bytes(made.pem)
        key_file(device).write_bytes(made.key_pem)
        assert "wants user and password too: give them in the file that est.credentials_path" in renew(device).stderr
        toml = device.directory / "tedge.toml"
        toml.write_text(toml.read_text() + f'credentials_path = "{file}"\n')
        file.write_text(f'[est]\nusername = "{libest.USER}"\npassword = "{libest.PASSWORD}"\nhost = "localhost"\n')
        result = renew(device)
        assert result.exit == 0, result.stderr
    assert certificate.load(device.candidate).validity.device_id == device.device_id


def test_renews_by_certificate(local_device: LocalDevice, program: str, tmp_path: Path) -> None:
    with LibEst(program, tmp_path / "est", "-n") as server:
        set_up(local_device, server)
        result = renew(local_device)
        assert result.exit == 0, result.stderr
        assert list(certificate.load(local_device.candidate).chain) == [server.authority.certificate]


def test_a_certificate_for_another_name_is_not_used(local_device: LocalDevice, program: str, tmp_path: Path) -> None:
    """The server signs any name that is asked for."""
    request = tmp_path / "request.pem"
    with LibEst(program, tmp_path / "est", "-n") as server:
        set_up(local_device, server)
        request.write_text(signing_request(local_device, "stranger"))
        result = local_device.run(f"tedge-cert-renew c8y --ca est --csr-path {request}")
    assert result.exit == 1
    assert f"issued to stranger, expected the device id {local_device.device_id}" in result.stderr
    assert not local_device.candidate.exists()


def test_registers_by_factory_certificate(local_device: LocalDevice, program: str, tmp_path: Path) -> None:
    factory = local_device.directory / "factory.pem"
    with LibEst(program, tmp_path / "est", "-n") as server:
        paths = f'bootstrap.cert_path = "{factory}"\nbootstrap.key_path = "{factory}.key"\n'
        set_up(local_device, server, more=paths)
        local_device.certificate.unlink()
        made = server.issue("serial-4711", 3650)
        factory.write_bytes(made.pem)
        factory.with_name("factory.pem.key").write_bytes(made.key_pem)
        result = local_device.run(f"tedge-cert-download c8y --ca est --device-id {local_device.device_id}")
        assert result.exit == 0, result.stderr
    assert certificate.load(local_device.certificate).validity.device_id == local_device.device_id


def test_waits_for_approval(local_device: LocalDevice, program: str, tmp_path: Path) -> None:
    with LibEst(program, tmp_path / "est", "-n", "-m", "600") as server:
        set_up(local_device, server)
        first, second = renew(local_device), renew(local_device)
    assert first.exit == 1
    assert f"the request waits for approval at the authority localhost:{server.port}" in first.stderr
    assert (second.exit, local_device.candidate.exists()) == (0, True), second.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("-h", "wants HTTP Digest, which is not spoken here"),
        ("-t", "wants the request bound to the TLS connection (RFC 7030 section 3.5)"),
        ("--enforce-csr", "wants attributes in requests that are not sent here: its operator can allow that"),
    ],
)
def test_what_is_not_spoken_is_said(
    local_device: LocalDevice, program: str, tmp_path: Path, option: str, said: str
) -> None:
    ways = [option, *(["-o"] if option != "-h" else [])]
    with LibEst(program, tmp_path / "est", *ways) as server:
        set_up(local_device, server)
        result = renew(local_device)
    assert result.exit == 1
    assert said in result.stderr
    assert "the tenant" not in result.stderr
