# SPDX-License-Identifier: Apache-2.0
"""What `create` does to the files."""

import os
import stat
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pytest_mock import MockerFixture

from tedge_cert.commands import create
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError
from tedge_cert.x509 import certificate, keys
from unit.certificates import DAY_S, make
from unit.children import BIN, run
from unit.local_device import Result
from unit.unregistered import instance_of, lay_out, present, tedge


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A device that has nothing yet."""
    return lay_out(tmp_path)


def lasting(made: x509.Certificate) -> tuple[int, int]:
    """Return begin and end, in seconds since the epoch."""
    validity = certificate.Certificate(made).validity
    return validity.not_before_s, validity.not_after_s


@pytest.mark.parametrize("cloud", ["", "c8y", "az", "aws"])
def test_create(directory: Path, cloud: str) -> None:
    began_s = int(time.time())
    result = tedge(directory, f"create --device-id device-1 {cloud}")
    assert result.exit == 0, result.stderr
    made = x509.load_pem_x509_certificate((directory / "certs/cert.pem").read_bytes())
    key = load_pem_private_key((directory / "certs/key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert keys.public_key(key) == certificate.Certificate(made).public_key
    assert made.subject == made.issuer
    assert made.subject.rfc4514_string() == "OU=Device,O=ACME,CN=device-1"
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, None)
    begin_s, end_s = lasting(made)
    assert began_s - DAY_S <= begin_s <= time.time() - DAY_S
    assert end_s - begin_s == 365 * DAY_S
    modes = [stat.S_IMODE((directory / "certs" / name).stat().st_mode) for name in ("key.pem", "cert.pem")]
    assert modes == [0o640, 0o644]
    lines = result.stdout.splitlines()
    assert lines[0] == f"Certificate:   {directory}/certs/cert.pem"
    assert lines[1:3] == [
        "Subject:       CN=device-1, O=ACME, OU=Device",
        "Issuer:        CN=device-1, O=ACME, OU=Device",
    ]
    assert lines[3].startswith("Status:        VALID (expires in: 363d 23h 59m ")
    assert len(lines) == 8
    assert "`tedge cert upload c8y`" in result.stderr
    assert "BEGIN" not in result.stdout + result.stderr


def test_create_lasts_as_long_as_configured(directory: Path) -> None:
    result = tedge(directory, "create --device-id d", TEDGE_CERTIFICATE_VALIDITY_REQUESTED_DURATION="10d")
    assert result.exit == 0
    assert "EXPIRES SOON (expires in: 8d 23h 59m " in result.stdout


@pytest.mark.parametrize("duration", ["1h", "1d", "0s"])
def test_create_says_when_the_duration_makes_no_sense(directory: Path, duration: str) -> None:
    result = tedge(directory, "create --device-id d", TEDGE_CERTIFICATE_VALIDITY_REQUESTED_DURATION=duration)
    assert result.exit == 0
    assert f"certificate.validity.requested_duration is {duration}" in result.stderr


def test_create_says_when_the_duration_cannot_be_written(directory: Path) -> None:
    result = tedge(directory, "create --device-id d", TEDGE_CERTIFICATE_VALIDITY_REQUESTED_DURATION="9000y")
    assert (result.exit, result.stdout, present(directory)) == (1, "", set())
    assert "certificate.validity.requested_duration is too long" in result.stderr


def test_create_takes_the_configured_name(directory: Path) -> None:
    assert tedge(directory, "create", TEDGE_DEVICE_ID="configured-1").exit == 0
    assert "CN=configured-1," in tedge(directory, "show").stdout


def test_create_needs_a_name(directory: Path) -> None:
    result = tedge(directory, "create")
    assert (result.exit, result.stdout, present(directory)) == (1, "", set())
    assert "give one with --device-id, or `sudo tedge config set device.id <id>`" in result.stderr


@pytest.mark.parametrize("name", ["a:b", "x" * 65, "ä"])
@pytest.mark.parametrize("command", ["create", "create-csr"])
def test_names_that_the_tenant_does_not_take(directory: Path, command: str, name: str) -> None:
    result = tedge(directory, f"{command} --device-id {name}")
    assert (result.exit, result.stdout, present(directory)) == (1, "", set())
    assert f"'{name}' cannot be a device id" in result.stderr


@pytest.mark.parametrize(("cn", "found"), [("a:b", "a colon"), ("a b", "a blank"), ("a/b", "/"), ("sensor-1", "")])
@pytest.mark.parametrize("command", ["create", "create-csr"])
def test_an_id_that_the_tenant_may_not_take_is_a_warning(directory: Path, command: str, cn: str, found: str) -> None:
    """An id that comes from the certificate of the device, which may be connected with it."""
    made = make(name=cn)
    (directory / "certs/cert.pem").write_bytes(made.pem)
    (directory / "certs/key.pem").write_bytes(made.key_pem)
    result = tedge(directory, command)
    assert result.exit == (0 if command == "create-csr" else 1)
    assert (f"the device id {cn} has characters ({found}) that Cumulocity does not expect" in result.stderr) is bool(
        found
    )


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("dangling", [False, True])
def test_create_overwrites_nothing(directory: Path, name: str, dangling: bool) -> None:
    path = directory / "certs" / name
    if dangling:
        path.symlink_to(directory / "nowhere")
    else:
        path.write_text("mine")
    (directory / "certs/cert.pem.previous").write_text("former")
    result = tedge(directory, "create --device-id d")
    assert (result.exit, result.stdout) == (1, "")
    assert f"{path} exists already and is not overwritten; `sudo tedge cert remove`" in result.stderr
    assert dangling or path.read_text() == "mine"
    assert present(directory) == {name, "cert.pem.previous"}


def test_create_removes_state_of_the_previous_certificate(directory: Path) -> None:
    for name in ("cert.pem.new", "cert.pem.previous"):
        (directory / "certs" / name).write_bytes(make().pem)
    assert tedge(directory, "create --device-id d").exit == 0
    assert present(directory) == {"cert.pem", "key.pem"}


@pytest.mark.parametrize("command", ["create --device-id d", "remove"])
def test_a_key_that_an_interrupted_run_left_goes(directory: Path, command: str) -> None:
    """In the file that would have become the key."""
    (directory / "certs/.key.pem.0123abcd.tmp").write_text("a private key")
    result = tedge(directory, command)
    assert result.exit == 0
    assert f"removed 1 temporary file of an interrupted run beside {directory}/certs/key.pem" in result.stderr
    assert present(directory) == ({"cert.pem", "key.pem"} if command != "remove" else set())


def test_create_leaves_no_key_without_its_certificate(directory: Path, mocker: MockerFixture) -> None:
    real = files.create

    def full(path: Path, content: bytes, access: owners.Access) -> None:
        if path.name == "cert.pem":
            raise TedgeCertError("no space left")
        real(path, content, access)

    mocker.patch.object(files, "create", full)
    with pytest.raises(TedgeCertError, match="no space left"):
        create.create(instance_of(directory), "d")
    assert present(directory) == set()


def test_somebody_else_is_quicker(directory: Path, mocker: MockerFixture) -> None:
    real = keys.create

    def slowly(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
        path.write_text("theirs")
        real(path, key)

    mocker.patch.object(keys, "create", slowly)
    with pytest.raises(TedgeCertError, match=r"key.pem exists already"):
        create.create(instance_of(directory), "d")
    assert (directory / "certs/key.pem").read_text() == "theirs"
    assert present(directory) == {"key.pem"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_have_their_owners(directory: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(owners, "account_ids", return_value=(1234, 4321))
    create.create(instance_of(directory), "d")
    facts = [(directory / "certs" / name).stat() for name in ("cert.pem", "key.pem")]
    assert [(each.st_uid, each.st_gid) for each in facts] == [(1234, 4321)] * 2


def test_a_clock_before_the_epoch_of_certificates_is_no_crash(directory: Path, mocker: MockerFixture) -> None:
    mocker.patch("time.time", return_value=0.0)
    made = create.create(instance_of(directory), "d")
    assert made.validity.not_before_s == -DAY_S
    assert datetime.fromtimestamp(made.validity.not_after_s, UTC).year == 1970


# Run a command with a terminal for all three streams, and type a line there.
ON_A_TERMINAL = """\
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
while not seen.endswith((b"] ", b"]: ")):
    seen += os.read(terminal, 1024)
os.write(terminal, os.environ["TYPED"].encode() + b"\\n")
try:
    while more := os.read(terminal, 1024):
        seen += more
except OSError:
    pass
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def on_a_terminal(directory: Path, typed: str, *words: str) -> Result:
    program = [sys.executable, str(BIN / words[0]), *words[1:]]
    return run(program, directory, text=ON_A_TERMINAL, variables={"TYPED": typed})


@pytest.mark.parametrize(("answer", "left"), [("", 2), ("n", 2), ("y", 0)])
def test_remove_asks_on_a_terminal_and_keeps_the_id(directory: Path, answer: str, left: int) -> None:
    assert tedge(directory, "create --device-id sensor-0815").exit == 0
    result = on_a_terminal(directory, answer, "tedge-cert-remove", "c8y")
    assert (result.exit, len(present(directory))) == (0 if left == 0 else 1, left)
    assert "sensor-0815 cannot connect any more until it is registered again" in result.stdout
    assert "private key" in result.stdout
    if left:
        assert "error: nothing was removed" in result.stdout
        return
    again = "`sudo tedge cert download c8y --device-id sensor-0815`"
    assert f"=> {again} registers the device again" in result.stdout
    refused = tedge(directory, "create")
    assert (refused.exit, "--device-id, such as sensor-0815, which it was" in refused.stderr) == (1, True)
    named = tedge(directory, "download c8y --url tenant.invalid")
    assert (named.exit, f"(it was sensor-0815: {again})" in named.stderr) == (1, True)
    asked = on_a_terminal(directory, "a b", "tedge-cert-download", "c8y", "--url", "tenant.invalid")
    assert "Enter device id [sensor-0815]: " in asked.stdout


def test_a_script_is_not_asked(directory: Path) -> None:
    assert tedge(directory, "create --device-id d").exit == 0
    assert tedge(directory, "remove").exit == 0
    assert not present(directory)


def test_remove_tells_whose_key_it_was_too(directory: Path) -> None:
    settings = directory / "tedge.toml"
    second = f'[c8y.profiles.p]\nurl = "two.example"\ndevice.cert_path = "{directory}/certs/p.pem"\n'
    settings.write_text(settings.read_text() + second)
    assert tedge(directory, "create --device-id d").exit == 0
    assert "key of" not in tedge(directory, "remove").stderr
    assert tedge(directory, "create --device-id d").exit == 0
    (directory / "certs/p.pem").write_bytes(make().pem)
    result = tedge(directory, "remove")
    assert (result.exit, present(directory)) == (0, {"p.pem"})
    assert f"key.pem was also the key of {directory}/certs/p.pem" in result.stderr
    assert "`sudo tedge cert download c8y --profile p` registers that profile again" in result.stderr
