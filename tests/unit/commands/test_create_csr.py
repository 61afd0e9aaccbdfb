# SPDX-License-Identifier: Apache-2.0
"""What `create-csr` and `remove` do to the files."""

import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509
from pytest_mock import MockerFixture

from tedge_cert.commands import remove
from tedge_cert.disk import files
from tedge_cert.disk.files import CallerFile
from tedge_cert.x509 import keys, requests
from unit.unregistered import instance_of, lay_out, present, tedge


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A device that has nothing yet."""
    return lay_out(tmp_path)


def request_in(path: Path) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(path.read_bytes())


def test_create_csr_makes_the_key_once(directory: Path) -> None:
    result = tedge(directory, "create-csr --device-id device-9")
    path = directory / "certs/device.csr"
    assert (result.exit, result.stdout) == (0, "")
    assert result.stderr == f"The signing request is in {path}.\n"
    assert present(directory) == {"key.pem", "device.csr"}
    assert stat.S_IMODE((directory / "certs/key.pem").stat().st_mode) == 0o640
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert request_in(path).subject.rfc4514_string() == "OU=Device,O=ACME,CN=device-9"
    key = (directory / "certs/key.pem").read_bytes()
    assert tedge(directory, "create-csr --device-id device-9").exit == 0
    assert (directory / "certs/key.pem").read_bytes() == key
    assert requests.load_request(CallerFile.read(path), keys.load(directory / "certs/key.pem"))


def test_create_csr_writes_to_the_given_path(directory: Path) -> None:
    result = tedge(directory, f"create-csr --device-id d --output-path {directory}/elsewhere.csr")
    assert result.exit == 0
    assert request_in(directory / "elsewhere.csr").is_signature_valid
    assert present(directory) == {"key.pem"}
    result = tedge(directory, f"create-csr --device-id d --output-path {directory}/no/such.csr")
    assert (result.exit, result.stdout) == (1, "")
    assert f"cannot write {directory}/no/such.csr" in result.stderr


def test_create_csr_elsewhere_needs_no_lock_with_a_key(directory: Path) -> None:
    """A user who may read the key, but not lock the certificate, can make a request for a file of theirs."""
    assert tedge(directory, "create-csr --device-id d").exit == 0
    shutil.rmtree(directory / "run")
    (directory / "run").touch()
    assert tedge(directory, "create-csr --device-id d").exit == 1
    assert tedge(directory, f"create-csr --device-id d --output-path {directory}/mine.csr").exit == 0
    assert request_in(directory / "mine.csr").is_signature_valid


def test_create_csr_repeats_the_certificate(directory: Path) -> None:
    """A CA that renews compares the names (RFC 7030 §4.2.2), so later settings do not count."""
    assert tedge(directory, "create --device-id d").exit == 0
    path = directory / "certs/device.csr"
    changed = {"TEDGE_CERTIFICATE_ORGANIZATION": "Changed"}
    assert tedge(directory, "create-csr", **changed).exit == 0
    assert request_in(path).subject.rfc4514_string() == "OU=Device,O=ACME,CN=d"
    assert tedge(directory, "create-csr --device-id other", **changed).exit == 0
    assert request_in(path).subject.rfc4514_string() == "OU=Device,O=Changed,CN=other"


def test_create_csr_leaves_out_what_is_set_to_nothing(directory: Path) -> None:
    settings = directory / "tedge.toml"
    settings.write_text(settings.read_text().replace("ACME", ""))
    assert tedge(directory, "create-csr --device-id d").exit == 0
    assert request_in(directory / "certs/device.csr").subject.rfc4514_string() == "OU=Device,CN=d"


def test_create_csr_does_not_replace_a_broken_key(directory: Path) -> None:
    (directory / "certs/key.pem").write_text("garbage")
    result = tedge(directory, "create-csr --device-id d")
    assert (result.exit, present(directory)) == (1, {"key.pem"})
    assert f"{directory}/certs/key.pem holds no private key" in result.stderr


def test_remove(directory: Path) -> None:
    assert tedge(directory, "create --device-id d").exit == 0
    for name in ("cert.pem.new", "cert.pem.previous", "another.pem"):
        (directory / "certs" / name).write_text("x")
    result = tedge(directory, "remove")
    assert (result.exit, result.stdout, present(directory)) == (0, "", {"another.pem"})
    assert result.stderr.splitlines() == [
        f"Removed {directory}/certs/cert.pem and {directory}/certs/key.pem",
        "    => `sudo tedge cert download c8y --device-id d` registers the device again",
    ]
    result = tedge(directory, "remove")
    assert (result.exit, result.stdout) == (0, "")
    assert result.stderr.startswith("Nothing to remove: ")


def test_remove_begins_with_previous(directory: Path, mocker: MockerFixture) -> None:
    """Otherwise a power cut in between would leave an unfinished switch without a certificate."""
    for name in ("cert.pem", "key.pem", "cert.pem.new", "cert.pem.previous", "key.pem.previous"):
        (directory / "certs" / name).write_text("x")
    spy = mocker.spy(files, "remove")
    assert remove.remove(instance_of(directory))
    first, *void, last, key = [call.args[0].name for call in spy.call_args_list]
    assert (first, last, key) == ("cert.pem.previous", "cert.pem", "key.pem")
    assert set(void) == {
        *("cert.pem.new", "key.pem.new", "key.pem.previous", "c8y.json", "c8y.rejected"),
        *("c8y.attempts", "c8y.one-time-password", "c8y.registering", "c8y.waiting"),
    }
