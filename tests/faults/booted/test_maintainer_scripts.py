# SPDX-License-Identifier: Apache-2.0
"""Maintainer scripts beside what user tedge left in its directories. Nothing has to be booted for that."""

from pathlib import Path

import pytest

from system.debs import BESIDE, sibling
from system.device import Device
from system.devices import Devices
from system.machine import command

pytestmark = [pytest.mark.row("User tedge against root"), pytest.mark.one_release]

INFO = "/var/lib/dpkg/info"
CONFIGURE = f"{INFO}/tedge-cert-renewer.postinst configure 0.1.0"
PURGE = f"{INFO}/tedge-cert-renewer.postrm purge"
CERTS = "/etc/tedge/device-certs"
RESCUED = "/var/backups/tedge-cert-renewer"
LOCKS = "/usr/lib/tedge-cert-renewer/tedge_cert/disk/lock.py"
# Instead of the program that waits for the locks, and of the one that bounds it.
WHO = "import os\nopen('/tmp/who', 'w').write(f'{os.getresuid()} {os.getresgid()} {os.getgroups()}')\n"
BOUND = '#!/bin/sh\necho "$1" > /tmp/bound\nshift\nexec "$@"\n'


@pytest.fixture
def off(devices: Devices) -> Device:
    """A device that is off, and has our package."""
    made = devices.make("installed")
    made.run("systemd-tmpfiles --create tedge-cert-renewer-common.conf")
    return made


@pytest.mark.parametrize("script", ["upgrade", "removal beside thin-edge"])
def test_locks_are_waited_for_as_tedge_and_not_for_ever(
    off: Device, package: Path, tmp_path: Path, script: str
) -> None:
    ran = f"{INFO}/tedge-cert-renewer-common.preinst upgrade 0.2.0"
    if script != "upgrade":
        command(["dpkg-deb", "--control", str(sibling(package, BESIDE)), str(tmp_path / "control")])
        off.copy_in(tmp_path / "control/prerm", "/root/prerm")
        ran = "sh /root/prerm remove"
    off.write(LOCKS, WHO)
    off.write("/usr/bin/timeout", BOUND, mode=0o755)
    off.run(f"setpriv --groups=0,4 {ran}")
    user, group = off.run("id -u tedge; getent group mosquitto | cut -d: -f3").stdout.split()
    assert off.read("/tmp/who") == f"{(int(user),) * 3} {(int(group),) * 3} []"
    assert off.read("/tmp/bound") == "120\n"


def test_a_rescued_configuration_is_written_through_no_link(off: Device) -> None:
    off.run(f"install -d {RESCUED}/device-certs && echo '* * * * * root id' > {RESCUED}/device-certs/key.pem")
    off.run(f"rm -f /etc/tedge/tedge.toml; ln -s /etc/cron.d/planted {CERTS}/key.pem", check=False)
    off.run(f"chown -h tedge {CERTS}/key.pem")
    off.run(CONFIGURE)
    assert not off.exists("/etc/cron.d/planted")


def test_a_rescued_copy_follows_no_link_and_is_roots_to_read(off: Device) -> None:
    off.run("install -d -m 700 /srv/roots && echo secret > /srv/roots/file && chmod 644 /srv/roots/file")
    off.run(f"ln -s /srv/roots/file {CERTS}/linked && chown -h tedge {CERTS}/linked")
    entry = "Package: tedge\nStatus: deinstall ok config-files\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@x>\n"
    off.run(["sh", "-c", "cat >> /var/lib/dpkg/status"], stdin=f"\n{entry}Description: x\n")
    # systemd reads these variables for mosquitto, which starts as root.
    off.write("/etc/tedge/openssl.env", "OPENSSL_CONF=/etc/tedge/device-certs/own.cnf\n", owner="tedge:tedge")
    off.run(CONFIGURE)
    assert off.run(f"test -L {RESCUED}/device-certs/linked", check=False).exit_code == 0
    assert not off.exists(f"{RESCUED}/openssl.env")
    facts = off.stat(RESCUED)
    assert (facts.owner, facts.mode) == ("root", 0o700)


@pytest.mark.parametrize("directory", ["/run/tedge-cert-renewer", "/var/lib/tedge-cert-renewer"])
def test_a_purge_removes_nothing_behind_a_link(off: Device, directory: str) -> None:
    off.run("mkdir /srv/kept && echo > /srv/kept/file")
    off.run(
        f"ln -s /srv/kept {directory}/linked; ln -s /srv/kept {directory}/-rf; mkdir {directory}/more", user="tedge"
    )
    off.run(f"ln -s /srv/kept {directory}/more/linked", user="tedge")
    off.run(f"mv /usr/bin/tedge /usr/bin/was-tedge; {PURGE}")
    assert off.exists("/srv/kept/file")
    assert off.listing(directory) == []
