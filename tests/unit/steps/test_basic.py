# SPDX-License-Identifier: Apache-2.0
"""A device that connects with user and password instead of a certificate (c8y.auth_method)."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import conf_files
from tedge_cert.config.credentials import load, read_password
from tedge_cert.deadline import bounded
from tedge_cert.errors import ConfigurationError
from tedge_cert.steps import needs_renewal
from unit.connected import files_of, instance_of, mosquitto_of
from unit.local_client import Local
from unit.local_device import LocalDevice

PASSWORD = "p:a ss#w'ö\"rd%25"


def credentials(device: LocalDevice, user: str, password: str = PASSWORD, host: str | None = None) -> Path:
    host = f'host = "{device.tenant.address}"\n' if host is None else host
    file = device.directory / "credentials.toml"
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    file.write_text(f'[c8y]\n{host}username = "{user}"\npassword = "{escaped}"\n')
    file.chmod(0o600)
    return file


@pytest.fixture
def basic_device(local_device: LocalDevice) -> LocalDevice:
    """A device without any certificate, whose user the tenant knows."""
    user = f"device_{local_device.device_id}"
    local_device.tenant.settings(device_users={user: PASSWORD, f"t1/{user}": PASSWORD})
    credentials(local_device, f"t1/{user}")
    for key, value in (("c8y.auth_method", "basic"), ("device.id", local_device.device_id)):
        assert local_device.run(f"tedge-config set {key} {value}").exit == 0
    return local_device


def test_the_life_of_a_device_without_certificate(basic_device: LocalDevice) -> None:
    connected = basic_device.connect()
    assert connected.exit == 0, connected.stderr
    assert "authentication: user and password" in connected.stderr
    file = instance_of(basic_device).bridge_file
    text = file.read_text()
    assert f"remote_username t1/device_{basic_device.device_id}\nremote_password {PASSWORD}\n" in text
    assert not any(each in text for each in ("bridge_certfile", "bridge_keyfile", "s/uat", "s/dat"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    tested = basic_device.run("tedge-connect c8y --test")
    assert (tested.exit, "The connection to c8y works" in tested.stderr) == (0, True)
    assert basic_device.tenant.messages(basic_device.device_id, "s/us")[-1]["payload"] == "123"
    asked = basic_device.run("tedge-http get /c8y/inventory/managedObjects")
    assert asked.exit == 0, asked.stderr
    before = basic_device.tenant.device(basic_device.device_id)["evictions"]
    again = basic_device.run("tedge-reconnect c8y")
    assert again.exit == 0, again.stderr
    assert basic_device.tenant.device(basic_device.device_id)["evictions"] > before
    ended = basic_device.run("tedge-disconnect c8y")
    assert (ended.exit, file.exists()) == (0, False)
    for each in (connected, tested, asked, again, ended):
        assert PASSWORD not in each.stdout + each.stderr


@pytest.mark.parametrize("debug", ["", " --debug"])
def test_a_password_that_the_tenant_does_not_take(basic_device: LocalDevice, debug: str) -> None:
    user = f"device_{basic_device.device_id}"
    file = credentials(basic_device, user, "quite-another")
    refused = basic_device.run(f"tedge-connect c8y{debug}")
    assert (refused.exit, instance_of(basic_device).bridge_file.exists()) == (1, False)
    assert f"check the user and password in {file}" in refused.stderr
    http = basic_device.run(f"tedge-http{debug} get /c8y/inventory/managedObjects")
    assert http.exit == 1
    assert f"does not take the user and password in {file}" in http.stderr
    assert "quite-another" not in refused.stderr + http.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[c8y]\nusername = 'u'\npassword = secret-word\n", "malformed: Invalid value (at line 3"),
        ("[c8y]\nusername = 'u'\n", "incomplete"),
        ("username = 'u'\npassword = 'secret-word'\n", "incomplete"),
        ("[c8y]\nusername = 'u'\npassword = 'secret-word '\n", "ends with a blank"),
        ('[c8y]\nusername = "u"\npassword = "secret-word\\nlistener 1"\n', "control character"),
        ("[c8y]\nusername = 'u:v'\npassword = 'secret-word'\n", "colon"),
        ("[c8y]\nhost = 7\nusername = 'u'\npassword = 'secret-word'\n", "host in the table [c8y] is not text"),
        ("[c8y]\nhost = []\nusername = 'u'\npassword = 'secret-word'\n", "host in the table [c8y] is not text"),
        ("[c8y]\nhost = 'https://x/'\nusername = 'u'\npassword = 'secret-word'\n", "without scheme, port or path"),
        (None, "cannot read"),
    ],
)
def test_credentials_that_cannot_be_used(basic_device: LocalDevice, content: str | None, words: str) -> None:
    file = basic_device.directory / "credentials.toml"
    file.unlink()
    if content is not None:
        file.write_text(content)
    result = basic_device.run("tedge-connect c8y --debug")
    assert (result.exit, instance_of(basic_device).bridge_file.exists()) == (1, False)
    assert words in result.stderr
    assert str(file) in result.stderr
    assert "secret-word" not in result.stderr


@pytest.mark.parametrize("host", ['"other.test"', '["other.test", "third.test"]'])
def test_the_password_goes_to_no_other_host_than_its_own(basic_device: LocalDevice, host: str) -> None:
    file = credentials(basic_device, "u", "secret-word", f"host = {host}\n")
    address = basic_device.tenant.address
    before = len(basic_device.tenant.state()["requests"])
    for command in ("tedge-connect c8y", "tedge-http get /c8y/inventory/managedObjects"):
        refused = basic_device.run(command)
        assert refused.exit == 1
        assert f"the password in {file} is for other.test" in refused.stderr
        assert f"but c8y.http is {address}" in refused.stderr
    assert not instance_of(basic_device).bridge_file.exists()
    assert len(basic_device.tenant.state()["requests"]) == before
    status = basic_device.run("tedge-cert-status c8y")
    assert f"but c8y.http is {address}" in status.stdout


@pytest.mark.parametrize(("key", "value"), [("c8y.http", "evil.test:443"), ("c8y.mqtt", "evil.test")])
def test_each_endpoint_is_compared(basic_device: LocalDevice, key: str, value: str) -> None:
    assert basic_device.run(f"tedge-config set {key} {value}").exit == 0
    refused = basic_device.run("tedge-http get /c8y/x")
    assert refused.exit == 1
    assert f"is for {basic_device.tenant.address}, but {key} is evil.test: nothing was sent" in refused.stderr


def test_a_file_that_names_no_host_works_and_says_what_to_add(basic_device: LocalDevice) -> None:
    file = credentials(basic_device, f"t1/device_{basic_device.device_id}", host="")
    line = f'add to its table [c8y] the line: host = "{basic_device.tenant.address}"'
    connected = basic_device.connect()
    assert connected.exit == 0, connected.stderr
    assert connected.stderr.count(line) == 1
    status = basic_device.run("tedge-cert-status c8y")
    assert f"attention: the credentials file {file} does not say which host" in status.stdout
    assert line in status.stdout
    credentials(basic_device, f"t1/device_{basic_device.device_id}")
    assert line not in basic_device.run("tedge-cert-status c8y").stdout


@pytest.mark.parametrize("readable", [True, False])
def test_root_is_asked_only_for_a_file_that_tedge_cannot_read(
    basic_device: LocalDevice, mocker: MockerFixture, readable: bool
) -> None:
    """The parent reads it, if only root can write there, and hands over what it holds."""
    mocker.patch("tedge_cert.disk.privileges.has_parent", return_value=True)
    mocker.patch("os.access", return_value=readable)
    ask = mocker.patch("tedge_cert.disk.privileges.ask_root", return_value=["t1/root", "secret", "tenant.test"])
    found = load(basic_device.directory / "credentials.toml")
    assert (found.username == "t1/root", ask.called) == (not readable, not readable)
    assert (found.hosts == ("tenant.test",)) is not readable


@pytest.mark.parametrize("read", [load, lambda path: read_password(path, "mqtt.client.auth.password_file", "x")])
def test_a_pipe_in_the_place_of_a_password_holds_nobody_up(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with bounded(10, "reading it"), pytest.raises(ConfigurationError, match="not a regular file"):
        read(tmp_path / "pipe")


def test_credentials_for_everybody_to_read_are_warned_of(basic_device: LocalDevice) -> None:
    file = basic_device.directory / "credentials.toml"
    file.chmod(0o644)
    warned = basic_device.run("tedge-http get /c8y/inventory/managedObjects")
    assert (
        f"everybody on this device can read the password in {file} (mode 0644); `sudo chmod 600 {file}`"
        in warned.stderr
    )
    file.chmod(0o640)
    assert "warning" not in basic_device.run("tedge-http get /c8y/inventory/managedObjects").stderr


@pytest.mark.parametrize(
    ("method", "there", "renews"), [("auto", True, False), ("auto", False, True), ("basic", True, False)]
)
def test_the_hourly_check(
    basic_device: LocalDevice, capsys: pytest.CaptureFixture[str], method: str, there: bool, renews: bool
) -> None:
    """Without a certificate there is nothing to renew; where one is needed and missing, the unit fails."""
    assert basic_device.run(f"tedge-config set c8y.auth_method {method}").exit == 0
    if not there:
        (basic_device.directory / "credentials.toml").unlink()
    question = needs_renewal.parse(["--systemd", "c8y", "--config-dir", str(basic_device.directory)])
    assert question is not None
    assert needs_renewal.full_check(question) == (255 if renews else 1)
    assert (f"nothing to renew: c8y.auth_method is {method}" in capsys.readouterr().err) is not renews


def test_from_certificate_to_password_and_back(basic_device: LocalDevice) -> None:
    """A changed method changes the configuration of mosquitto."""
    assert basic_device.run("tedge-config set c8y.auth_method certificate").exit == 0
    assert basic_device.register().exit == 0
    assert basic_device.connect().exit == 0
    instance = instance_of(basic_device)
    certificate = instance.bridge_file.read_text()
    assert basic_device.run("tedge-config set c8y.auth_method basic").exit == 0
    assert not conf_files.is_current(files_of(basic_device), mosquitto_of(basic_device))
    taken = basic_device.run("tedge-reconnect c8y --offline")
    assert taken.exit == 0, taken.stderr
    basic_device.stop_broker()
    basic_device.start_broker()
    with Local(basic_device) as local:
        local.wait_health("1")
    assert basic_device.run("tedge-connect c8y --test").exit == 0
    assert basic_device.run("tedge-config set c8y.auth_method certificate").exit == 0
    assert basic_device.run("tedge-reconnect c8y --offline").exit == 0
    assert instance.bridge_file.read_text() == certificate
    assert stat.S_IMODE(instance.bridge_file.stat().st_mode) == 0o644
