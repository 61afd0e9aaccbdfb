# SPDX-License-Identifier: Apache-2.0
"""The packages' relations name the oldest versions that are supported, which are those of Debian 12."""

import re
import tomllib

from unit.local_device import ROOT

_DEBIAN = {"systemd-python": "python3-systemd"}


def test_the_packages_and_the_metadata_want_the_same_versions() -> None:
    control = (ROOT / "debian/control").read_text()
    common = control.partition("Package: tedge-cert-renewer-common")[2]
    found = dict(re.findall(r"(python3[\w-]*)(?: \(>= ([\d.]+)\))?[,\n]", common.partition("Recommends")[0]))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {"python3": project["requires-python"].removeprefix(">=")}
    for each in project["dependencies"]:
        name, _, version = each.partition(">=")
        wanted[_DEBIAN.get(name, f"python3-{name}")] = version
    assert found == wanted


def test_each_is_what_debian_12_has() -> None:
    lines = (ROOT / "tests/requirements-debian12.txt").read_text().splitlines()
    oldest = dict(each.split("==") for each in lines if "==" in each)
    for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name, _, version = each.partition(">=")
        if name in oldest:
            assert f"{oldest[name]}.".startswith(f"{version}."), name
