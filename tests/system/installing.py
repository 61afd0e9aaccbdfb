# SPDX-License-Identifier: Apache-2.0
"""Install, upgrade and remove packages on a device, with the commands that a person types."""

from pathlib import Path

from system.device import Device
from system.machine import command
from system.shell import Completed

PACKAGE = "tedge-cert-renewer"
_APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends"


def install(device: Device, *packages: Path, reinstall: bool = False) -> Completed:
    """Install packages of this machine by apt, which removes what they conflict with."""
    return device.run(installation(device, *packages, reinstall=reinstall), timeout_s=300)


def installation(device: Device, *packages: Path, reinstall: bool = False) -> str:
    """The command that does so; the packages are on the device."""
    for package in packages:
        device.copy_in(package, f"/root/{package.name}")
    names = " ".join(f"/root/{package.name}" for package in packages)
    return f"{_APT} {'--reinstall ' if reinstall else ''}install {names} 2>&1"


def remove(device: Device, verb: str = "remove", name: str = PACKAGE) -> Completed:
    """Remove or purge a package."""
    return device.run(f"{_APT} {verb} {name} 2>&1", timeout_s=120)


def another_version(package: Path, directory: Path, version: str) -> Path:
    """The same package under another version."""
    tree, made = directory / version, directory / f"{PACKAGE}_{version}_all.deb"
    command(["dpkg-deb", "--raw-extract", str(package), str(tree)])
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text("".join(f"Version: {version}\n" if line.startswith("Version:") else line for line in lines))
    command(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(made)])
    return made


def altered(device: Device) -> list[str]:
    """What `dpkg --verify` says of our package and of the broker's: files that are not as they were installed."""
    found = device.run(f"dpkg --verify mosquitto; dpkg --verify {PACKAGE} 2>&1", check=False).stdout.splitlines()
    # An image without documentation has none to compare.
    return [line for line in found if "/usr/share/" not in line and "is not installed" not in line]
