# SPDX-License-Identifier: Apache-2.0
"""A certificate that the device signs itself, renewed by hand."""

import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_mock import MockerFixture

from tedge_cert.authority import self_signed
from tedge_cert.x509 import certificate, keys, requests
from unit.certificates import NOW, make, make_for
from unit.connected import certify, configure, instance_of, key_file, serial_of, serials
from unit.local_device import LocalDevice
from unit.self_made import RENEW, create


@pytest.mark.parametrize("cloud", ["", " c8y", " az", " aws"])
def test_renew_by_hand(local_device: LocalDevice, cloud: str) -> None:
    old = create(local_device)
    result = local_device.run(RENEW + cloud)
    assert result.exit == 0, result.stderr
    current, new = certificate.load(local_device.certificate), certificate.load(local_device.candidate)
    assert serials(local_device) == (old, serial_of(local_device.candidate), None)
    assert serial_of(local_device.candidate) != old
    assert (new.subject, new.issuer, new.public_key) == (current.subject, current.subject, current.public_key)
    assert new.validity.not_after_s > current.validity.not_after_s
    constraints = new.leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints == x509.BasicConstraints(ca=True, path_length=None)
    assert result.stdout.startswith(
        f"Certificate:   {local_device.candidate}\nSubject:       CN={local_device.device_id}, "
    )
    assert result.stdout.count("\n") == 8
    assert result.stderr.startswith("Certificate renewed successfully\n    For an un-interrupted service:\n")
    assert "`tedge cert upload c8y`" in result.stderr
    assert result.stderr.endswith("    => the device has to be reconnected to the cloud\n\n")
    assert (local_device.candidate.stat().st_mode & 0o777) == 0o644


def test_renew_in_the_second_of_the_creation(local_device: LocalDevice, mocker: MockerFixture) -> None:
    mocker.patch("time.time", return_value=NOW.timestamp())
    config, key = instance_of(local_device).config, keys.new()
    current = self_signed.first(key, requests.first_subject("d", "O", "OU"), config)
    new = self_signed.successor(key, current, config)
    assert new.validity.not_after_s == current.validity.not_after_s + 1


def test_a_shorter_duration_is_said_and_lengthened(local_device: LocalDevice) -> None:
    create(local_device)
    end_s = certificate.load(local_device.certificate).validity.not_after_s
    configure(local_device, "365d", "10d")
    result = local_device.run(RENEW)
    assert result.exit == 0
    assert re.search(r"requested_duration 10d the new certificate would end 35[45]d.* before", result.stderr)
    assert certificate.load(local_device.candidate).validity.not_after_s == end_s + 1


def test_an_expired_one_can_be_renewed(local_device: LocalDevice) -> None:
    made = make_for(-1, begin_days=-10, name=local_device.device_id)
    local_device.certificate.write_bytes(made.pem)
    key_file(local_device).write_bytes(made.key_pem)
    assert local_device.run(RENEW).exit == 0
    assert certificate.load(local_device.candidate).public_key == keys.public_key(made.key)


def test_a_key_of_another_kind_stays(local_device: LocalDevice) -> None:
    made = make_for(10, name=local_device.device_id, key=rsa.generate_private_key(65537, 2048))
    local_device.certificate.write_bytes(made.pem)
    key_file(local_device).write_bytes(made.key_pem)
    assert local_device.run(RENEW).exit == 0
    assert certificate.load(local_device.candidate).public_key == keys.public_key(made.key)


def test_what_cannot_be_renewed(local_device: LocalDevice) -> None:
    result = local_device.run(RENEW)
    assert (result.exit, result.stdout) == (1, "")
    assert f"cannot read the certificate {local_device.certificate}" in result.stderr
    certify(local_device)
    result = local_device.run(f"{RENEW} c8y")
    assert (result.exit, result.stdout) == (1, "")
    assert f"{local_device.certificate} is not self-signed but issued by CN=" in result.stderr
    assert "--ca c8y" in result.stderr
    for made, said in (
        (make_for(400, begin_days=2, name=local_device.device_id), "the clock is wrong"),
        (make(name=local_device.device_id), "is not the one of the certificate"),
    ):
        local_device.certificate.write_bytes(made.pem)
        if "clock" in said:
            key_file(local_device).write_bytes(made.key_pem)
        result = local_device.run(RENEW)
        assert (result.exit, result.stdout) == (1, "")
        assert said in result.stderr
    key_file(local_device).unlink()
    assert "private key" in local_device.run(RENEW).stderr
    assert not local_device.candidate.exists()
    assert not key_file(local_device).exists()


def test_a_request_of_others_is_not_used(local_device: LocalDevice) -> None:
    create(local_device)
    result = local_device.run(f"{RENEW} --csr-path /no/such.csr")
    assert result.exit == 0
    assert "/no/such.csr is not used" in result.stderr


@pytest.mark.parametrize("ca", ["", "somebody"])
def test_other_authorities(local_device: LocalDevice, ca: str) -> None:
    result = local_device.run(f"tedge-cert-renew --ca={ca}")
    assert (result.exit, result.stdout) == (2, "")
    assert "self-signed" in result.stderr


def test_connect_says_what_is_missing(local_device: LocalDevice) -> None:
    create(local_device)
    result = local_device.run("tedge-connect c8y")
    assert result.exit == 1
    assert "cannot connect, `tedge cert upload c8y` first: " in result.stderr
    assert not instance_of(local_device).bridge_file.exists()
