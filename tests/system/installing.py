# SPDX-License-Identifier: Apache-2.0
"""Install, upgrade and remove packages on a device, with the commands that a person types."""

import re
import shutil
from pathlib import Path

from system.debs import COMMON, PACKAGE, sibling, with_common
from system.device import Device
from system.machine import command
from system.shell import Completed

_APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends"


def install(device: Device, *packages: Path, reinstall: bool = False) -> Completed:
    """Install packages of this machine by apt, which removes what they conflict with."""
    return device.run(installation(device, *packages, reinstall=reinstall), timeout_s=300)


def installation(device: Device, *packages: Path, reinstall: bool = False) -> str:
    """The command that does so; the packages, each with that of its library, are on the device."""
    needed = list(dict.fromkeys(each for package in packages for each in with_common(package)))
    for package in needed:
        device.copy_in(package, f"/root/{package.name}")
    names = " ".join(f"/root/{package.name}" for package in needed)
    return f"{_APT} {'--reinstall ' if reinstall else ''}install {names} 2>&1"


def remove(device: Device, verb: str = "remove", name: str = "") -> Completed:
    """Remove or purge packages: ours unless others are named, that of the library only with a purge."""
    names = name or (f"{PACKAGE} {COMMON}" if verb == "purge" else PACKAGE)
    return device.run(f"{_APT} {verb} {names} 2>&1", timeout_s=120)


def another_version(package: Path, directory: Path, version: str) -> Path:
    """The same package under another version, with that of its library beside it."""
    for each in with_common(package):
        name = each.name.partition("_")[0]
        tree = directory / version / name
        tree.parent.mkdir(parents=True, exist_ok=True)
        command(["dpkg-deb", "--raw-extract", str(each), str(tree)])
        control = tree / "DEBIAN" / "control"
        text = re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE)
        control.write_text(re.sub(rf"{COMMON} \(= .*?\)", f"{COMMON} (= {version})", text))
        command(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(directory / f"{name}_{version}_all.deb")])
    return directory / f"{package.name.partition('_')[0]}_{version}_all.deb"


def in_one(package: Path, directory: Path, version: str) -> Path:
    """Our two packages as the one that they were until 0.1: its files, its scripts, its relations."""
    tree, made = directory / f"one-{version}", directory / f"{PACKAGE}_{version}_all.deb"
    common = sibling(package, COMMON)
    command(["dpkg-deb", "--raw-extract", str(common), str(tree)])
    scripts = {each.name: each.read_text() for each in (tree / "DEBIAN").glob("p*")}
    depends = command(["dpkg-deb", "--field", str(common), "Depends"]).strip()
    shutil.rmtree(tree / "DEBIAN")
    command(["dpkg-deb", "--extract", str(package), str(tree)])
    command(["dpkg-deb", "--control", str(package), str(tree / "DEBIAN")])
    control = tree / "DEBIAN" / "control"
    text = re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE)
    control.write_text(re.sub(r"^Depends: .*$", f"Depends: {depends}", text, flags=re.MULTILINE))
    for name, script in scripts.items():
        own = tree / "DEBIAN" / name
        text = (script if name != "postrm" else "") + (own.read_text() if own.exists() else "")
        own.write_text(text.replace(COMMON, PACKAGE))
        own.chmod(0o755)
    # It has one file for systemd-sysusers(8), and one for systemd-tmpfiles(8).
    (tree / f"usr/lib/sysusers.d/{COMMON}.conf").rename(tree / f"usr/lib/sysusers.d/{PACKAGE}.conf")
    places = [tree / f"usr/lib/tmpfiles.d/{name}.conf" for name in (PACKAGE, COMMON)]
    places[0].write_text("".join(each.read_text() for each in places))
    places[1].unlink()
    command(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(made)])
    return made


def altered(device: Device) -> list[str]:
    """What `dpkg --verify` says of our packages and of the broker's: files that are not as they were installed."""
    ours = f"dpkg --verify {PACKAGE} 2>&1; dpkg --verify {COMMON} 2>&1"
    found = device.run(f"dpkg --verify mosquitto; {ours}", check=False).stdout.splitlines()
    # An image without documentation has none to compare.
    return [line for line in found if "/usr/share/" not in line and "is not installed" not in line]
