# SPDX-License-Identifier: Apache-2.0
"""Files that `make install` places work there, and the hourly script of docs/other-systems.md renews."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tenant.client import Tenant
from unit.local_device import ROOT, LocalDevice

PREFIX = "/opt/renewer"
YEAR_S = 366 * 86_400


def make(what: str, directory: Path) -> None:
    settings = {"PREFIX": PREFIX, "DESTDIR": directory / "tree", "MADE": directory / "made", "PYTHON": sys.executable}
    words = [f"{name}={value}" for name, value in settings.items()]
    subprocess.run(["make", "-s", what, *words], cwd=ROOT, check=True, capture_output=True)


def files(directory: Path) -> set[str]:
    return {str(each.relative_to(directory)) for each in directory.rglob("*") if not each.is_dir()}


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A staged installation."""
    directory = tmp_path_factory.mktemp("staged")
    make("install", directory)
    return directory / "tree"


def script() -> str:
    """The hourly script, as the page has it."""
    found = re.search(r"```sh\n(#!/bin/sh\n.*?)```", (ROOT / "docs/other-systems.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def environment(device: LocalDevice, staged: Path) -> dict[str, str]:
    """The environment of cron: the installed programs, the tests' libraries, and no file of the checkout."""
    path = f"{staged}{PREFIX}/bin:{os.environ['PATH']}"
    return {**device.environment, "PATH": path, "PYTHONPATH": sysconfig.get_path("purelib")}


def test_the_programs_run_where_they_are_staged(staged: Path) -> None:
    said = subprocess.run([f"{staged}{PREFIX}/bin/tedge", "--help"], capture_output=True, text=True, check=True).stdout
    assert "needs-renewal" in said
    private = f"{PREFIX.strip('/')}/lib/tedge-cert-renewer"
    placed = files(staged)
    assert {f"{private}/{name}" for name in files(ROOT / "bin")} <= placed
    pages = {f"{PREFIX.strip('/')}/share/man/man1/{name}.1" for name in files(ROOT / "bin")}
    assert pages <= placed
    modules = {name for name in files(ROOT / "lib") if name.endswith(".py")}
    assert {f"{private}/{name}" for name in modules} <= placed


def test_the_units_name_the_programs_where_they_will_be(staged: Path) -> None:
    units = [each for each in (staged / PREFIX.strip("/") / "lib/systemd/system").iterdir() if each.is_file()]
    shipped = {each.name for kind in ("*@.*", "*.target") for each in (ROOT / "units").glob(kind)}
    assert {each.name for each in units} == shipped
    lines = [line for unit in units for line in unit.read_text().splitlines() if line.startswith("Exec")]
    programs = [line.partition("=")[2].split()[0].lstrip("+-") for line in lines]
    assert len(programs) >= 8
    assert not [name for name in programs if not (staged / name.strip("/")).exists()]


def test_what_is_installed_can_be_removed(tmp_path: Path) -> None:
    make("install", tmp_path)
    make("uninstall", tmp_path)
    assert files(tmp_path / "tree") == set()


def test_the_script_for_cron_renews(staged: Path, local_device: LocalDevice, tenant: Tenant, tmp_path: Path) -> None:
    local_device.register()
    local_device.connect()
    before = str(tenant.device(local_device.device_id)["serial"])
    program = tmp_path / "renew-certificate"
    program.write_text(script())
    program.chmod(0o755)

    def run() -> subprocess.CompletedProcess[str]:
        variables = environment(local_device, staged)
        return subprocess.run([program], env=variables, capture_output=True, text=True, check=False)

    idle = run()
    assert (idle.returncode, idle.stderr.count("\n")) == (0, 1), idle.stderr
    local_device.run("tedge-config set certificate.validity.minimum_duration 366d")
    tenant.settings(lifetime_s=YEAR_S + 86_400)
    done = run()
    assert done.returncode == 0, done.stderr
    assert tenant.wait_connected(local_device.device_id, not_serial=before)
    local_device.certificate.unlink()
    broken = run()
    assert broken.returncode == 1
    assert str(local_device.certificate) in broken.stderr
