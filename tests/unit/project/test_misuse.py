# SPDX-License-Identifier: Apache-2.0
"""Command lines that look right and are wrong: no file changes, and the exit code is that of misuse."""

from pathlib import Path

import pytest

from unit.children import run
from unit.local_device import Result
from unit.unregistered import lay_out, present, tedge

COMMANDS = ("create --device-id d", "create-csr --device-id d", "show", "needs-renewal", "renew", "remove")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A device that has nothing yet."""
    return lay_out(tmp_path)


def refused(result: Result, said: str) -> bool:
    return (result.exit, result.stdout) == (2, "") and said in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_profile_of_no_cloud(directory: Path, command: str) -> None:
    """The device's own certificate must not be used or removed in place of the profile's."""
    assert tedge(directory, "create --device-id device-1").exit == 0
    before = present(directory)
    assert refused(tedge(directory, f"{command} --profile second"), "--profile is that of a cloud")
    assert present(directory) == before


@pytest.mark.parametrize("profile", ["", "a.b", "a b", "../x", "-"])
@pytest.mark.parametrize("command", ["tedge-config set device.type x", "tedge-cert-show c8y", "tedge-disconnect c8y"])
def test_a_profile_that_cannot_be(tmp_path: Path, command: str, profile: str) -> None:
    assert refused(run([*command.split(), f"--profile={profile}"], tmp_path), "cannot be a profile")
    assert not list(tmp_path.glob("*.toml"))


@pytest.mark.parametrize("value", ["-1", "-1d", "-.5", "-x"])
def test_a_value_that_looks_like_an_option(tmp_path: Path, value: str) -> None:
    assert run(["tedge-config", "set", "device.type", value], tmp_path).exit == 2
    assert run(["tedge-config", "set", "device.type", "--", value], tmp_path).exit == 0
    assert run(["tedge-config", "get", "device.type"], tmp_path).stdout == f"{value}\n"


@pytest.mark.parametrize("device_id", ["", "a b", "a:b"])
@pytest.mark.parametrize("command", ["create", "create-csr"])
def test_a_device_id_that_cannot_be_is_not_that_of_the_configuration(
    directory: Path, command: str, device_id: str
) -> None:
    environment = {"TEDGE_DEVICE_ID": "configured"}
    result = run([f"tedge-cert-{command}", "--device-id", device_id], directory, variables=environment)
    assert (result.exit, result.stdout) == (1, "")
    assert "cannot be a device id" in result.stderr
    assert not present(directory)


@pytest.mark.parametrize("url", ["http://x", "127.0.0.1:99999", "a:b:c"])
def test_a_tenant_that_cannot_be(directory: Path, url: str) -> None:
    assert refused(tedge(directory, f"download c8y --device-id d -p password --url {url}"), "is no host")
    assert not present(directory)
