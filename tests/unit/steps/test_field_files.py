# SPDX-License-Identifier: Apache-2.0
"""Files that people really have: what the hour says of them, and what no command may do to them."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from pytest_mock import MockerFixture

from tedge_cert.errors import NoAnswerError, UnreadableError
from tedge_cert.steps import dry_run, renew
from tedge_cert.x509 import certificate
from unit import recipes
from unit.certificates import Made, make_for, name_of, with_bytes
from unit.children import run
from unit.connected import certify, configure, instance_of, issue, key_file, rejected, serials
from unit.local_device import LocalDevice
from unit.steps.test_needs_renewal import PROGRAM, device

GOOD = make_for(100)
T61 = with_bytes(make_for(100, name="device-1"), b"Thin Edge", b"Thin \xfcdge")
COMMANDS = (
    "tedge-connect c8y --offline",
    "tedge-cert-renew c8y",
    "tedge-cert-verify c8y",
    "tedge-cert-create --device-id x",
    "tedge-cert-create-csr --device-id x",
    "tedge-cert-download c8y --device-id x --max-timeout 1s",
)


def two_names(first: str) -> Made:
    twice = x509.Name([*name_of(first), *name_of("another")])
    return make_for(100, name=twice)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (T61, 1, "nothing to do"),
        (two_names("device-1"), 1, "nothing to do"),
        (b"  " + GOOD.pem.replace(b"\n", b"\n  "), 255, "its lines are indented, .*`sudo sed -i .* mends it"),
        (GOOD.pem.decode().encode("utf-16"), 255, "it is UTF-16, .*`sudo iconv .* mends it"),
        (GOOD.der, 255, "it looks like DER, expected PEM; `sudo openssl x509 -inform DER .* mends it"),
        (make_for(100, name=x509.Name([])), 255, "has no common name"),  # type: ignore[arg-type]
        (make_for(100, name="a\nb"), 255, r"a common name \(CN\) that is not printable text, a\\000Ab"),
        (GOOD.pem + GOOD.key_pem, 255, r"\(device.cert_path\) holds a private key beside the certificate"),
    ],
)
def test_the_hour_says_what_it_finds(tmp_path: Path, content: Made | bytes, code: int, said: str) -> None:
    path = device(tmp_path, content)
    result = run([PROGRAM, "--systemd", "c8y"], tmp_path, isolated=True)
    assert (result.exit, result.stderr.count("\n")) == (code, 1)
    assert re.search(said, result.stderr), result.stderr
    assert str(path) in result.stderr


def combined(device: LocalDevice) -> None:
    """Put key and certificate into the certificate's file, and name it in both roles."""
    configure(device, f'key_path = "{key_file(device)}"', f'key_path = "{device.certificate}"')
    device.certificate.write_bytes(key_file(device).read_bytes() + device.certificate.read_bytes())


def linked(device: LocalDevice) -> None:
    combined(device)
    link = device.directory / "certs" / "linked.pem"
    link.symlink_to(device.certificate)
    configure(device, f'key_path = "{device.certificate}"', f'key_path = "{link}"')


def hard_linked(device: LocalDevice) -> None:
    combined(device)
    link = device.directory / "certs" / "linked.pem"
    os.link(device.certificate, link)
    configure(device, f'key_path = "{device.certificate}"', f'key_path = "{link}"')


def with_its_key(device: LocalDevice) -> None:
    device.certificate.write_bytes(device.certificate.read_bytes() + key_file(device).read_bytes())


def key_at(suffix: str) -> Callable[[LocalDevice], None]:
    def put(device: LocalDevice) -> None:
        there = f"{device.certificate}{suffix}"
        configure(device, f'key_path = "{key_file(device)}"', f'key_path = "{there}"')
        key_file(device).rename(there)

    return put


def request_is(role: str) -> Callable[[LocalDevice], None]:
    def put(device: LocalDevice) -> None:
        csr = device.directory / "certs" / "device.csr"
        configure(device, f'csr_path = "{csr}"', f'csr_path = "{device.directory}/certs/{role}"')

    return put


def request_with_key(device: LocalDevice) -> None:
    (device.directory / "certs" / "device.csr").write_bytes(key_file(device).read_bytes())


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (combined, "device.cert_path and device.key_path are the same file"),
        (linked, "device.cert_path and device.key_path are the same file"),
        (hard_linked, "device.cert_path and device.key_path are the same file"),
        (with_its_key, "holds a private key beside the certificate"),
        (key_at(".new"), "where a renewal puts a certificate"),
        (key_at(".previous"), "where a renewal puts a certificate"),
        (request_is("key.pem"), "device.csr_path and device.key_path are the same file"),
        (request_is("cert.pem"), "device.csr_path and device.cert_path are the same file"),
        (request_with_key, "holds a private key, and each signing request would replace it"),
    ],
)
def test_one_file_in_two_roles_is_refused_before_anything_is_written(
    local_device: LocalDevice, put: Callable[[LocalDevice], None], said: str
) -> None:
    certify(local_device)
    put(local_device)
    certs = local_device.certificate.parent
    before = {each: (each.read_bytes(), each.stat().st_mode) for each in certs.iterdir()}
    # Every command checks in the same place, so all of them are tried on one fault only.
    for words in COMMANDS if put is combined else COMMANDS[:1]:
        done = local_device.run(words, DEVICE_ONE_TIME_PASSWORD="one-time-password")
        assert (done.exit, said in done.stderr) == (1, True), (words, done)
    # In the hour an unfinished switch comes first, and signing requests do not count.
    asked = not local_device.previous.exists() and not said.startswith(("device.csr", "holds a private key, and"))
    assert local_device.run("tedge-cert-needs-renewal --systemd c8y").exit == (255 if asked else 0)
    assert {each: (each.read_bytes(), each.stat().st_mode) for each in certs.iterdir()} == before
    assert not list(local_device.directory.glob("mosquitto-conf/*"))


def test_a_combined_file_is_taken_apart_by_the_command_that_is_printed(local_device: LocalDevice) -> None:
    certify(local_device)
    combined(local_device)
    said = local_device.run("tedge-cert-renew c8y").stderr
    command = said.split("`")[1].replace("sudo ", "")
    before = local_device.certificate.read_bytes()
    for each in command.split(" && "):
        if each.startswith("tedge config "):
            done = local_device.run(each.replace("tedge config ", "tedge-config ", 1))
            assert done.exit == 0, done
        else:
            subprocess.run(["sh", "-c", each], check=True, capture_output=True)
    assert local_device.certificate.read_bytes() == before
    assert local_device.run("tedge-cert-renew c8y").exit == 0


@pytest.fixture
def hidden(local_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A device with a candidate that user tedge may not read."""
    certify(local_device)
    issue(local_device)
    real = os.open

    def refuse(path: object, *arguments: int, **options: int) -> int:
        if str(path) == str(local_device.candidate):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    mocker.patch("tedge_cert.disk.files.os.open", refuse)
    return local_device


def test_a_candidate_that_tedge_may_not_read_is_kept(hidden: LocalDevice) -> None:
    before, instance = serials(hidden), instance_of(hidden)
    with pytest.raises(UnreadableError, match=f"it is kept as it is: `sudo chmod 644 {hidden.candidate}`"):
        renew.is_served(instance, certificate.load(hidden.certificate))
    with pytest.raises(UnreadableError, match="is kept as it is") as refused:
        recipes.verify(instance)
    assert refused.value.exit_code == 1
    assert (serials(hidden), rejected(hidden)) == (before, None)


@pytest.mark.parametrize("authority", ["c8y", "est", "self-signed"])
def test_nothing_by_hand_replaces_a_candidate_that_tedge_may_not_read(hidden: LocalDevice, authority: str) -> None:
    before, current = serials(hidden), certificate.load(hidden.certificate)
    said = f"it is kept as it is: `sudo chmod 644 {hidden.candidate}`"
    with pytest.raises(UnreadableError, match=said):
        renew.candidate_of(renew.Wanted(authority), instance_of(hidden), current)
    assert serials(hidden) == before


def test_a_rehearsal_names_a_candidate_that_tedge_may_not_read(
    hidden: LocalDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run.rehearse(instance_of(hidden), renew.Wanted("self-signed")) == 1
    assert f"directory: cannot look at the candidate {hidden.candidate}" in capsys.readouterr().out


def test_a_certificate_that_could_not_be_looked_at_is_not_rolled_back(
    local_device: LocalDevice, mocker: MockerFixture
) -> None:
    certify(local_device)
    issue(local_device, local_device.previous)
    before = serials(local_device)
    mocker.patch("tedge_cert.x509.keys.load", side_effect=UnreadableError("cannot read the private key: I/O error"))
    with pytest.raises(NoAnswerError, match=r"I/O error; .* both stay, the next run decides"):
        recipes.verify(instance_of(local_device))
    assert serials(local_device) == before


def test_a_name_that_the_tenant_may_not_take_is_warned_of(local_device: LocalDevice) -> None:
    certify(local_device, name="gate 7:a/b")
    done = local_device.run("tedge-connect c8y --offline")
    assert done.exit == 0, done
    said = (
        "warning: the device id gate 7:a/b has characters (a blank, a colon, /) that Cumulocity does not expect in one"
    )
    assert said in done.stderr
    assert "`sudo tedge cert download c8y --device-id <id>` gets a certificate of another name" in done.stderr
    bridge = instance_of(local_device).bridge_file.read_text()
    assert "remote_clientid gate 7:a/b\n" in bridge


def test_a_second_common_name_changes_nothing(local_device: LocalDevice) -> None:
    twice = x509.Name([*name_of(local_device.device_id), *name_of("another")])
    certify(local_device, name=twice)
    issue(local_device, name=twice)
    assert recipes.verify(instance_of(local_device)) == 0
    assert serials(local_device)[1:] == (None, None)
