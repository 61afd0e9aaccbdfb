# SPDX-License-Identifier: Apache-2.0
"""`tedge init` makes what the package's own scripts and systemd make, in a tree that has neither."""

from pathlib import Path

from system import trees
from system.debs import with_common
from system.machine import command
from system.overlay import Overlay

_FORGET = "rm /usr/bin/systemctl /usr/bin/systemd-* && ! getent passwd tedge && ! getent group mosquitto"
_SHOW = """
getent passwd tedge | cut -d: -f1,6,7; getent group tedge mosquitto | cut -d: -f1
stat -c '%n %U:%G %a' /etc/tedge /etc/tedge/* /run/tedge-cert-renewer /var/lib/tedge-cert-renewer /etc/credstore
"""
_MADE = """\
tedge:/etc/tedge:/usr/sbin/nologin
tedge
mosquitto
/etc/tedge root:root 755
/etc/tedge/device-certs tedge:mosquitto 755
/etc/tedge/mosquitto-conf root:root 755
/run/tedge-cert-renewer tedge:mosquitto 755
/var/lib/tedge-cert-renewer tedge:mosquitto 755
/etc/credstore root:root 700
"""


def test_init_makes_accounts_and_directories(release: str, package: Path, tmp_path: Path) -> None:
    tree = Overlay(trees.dependencies(release, package), tmp_path / "tree")
    tree.prepare()
    for each in with_common(package):
        command(["dpkg-deb", "--extract", str(each), str(tree.upper)])

    def run(script: str) -> str:
        return command(tree.chroot(["sh", "-ec", script]), timeout_s=120)

    # mosquitto's own package brings its user, which is in the tree.
    run("userdel mosquitto; getent group mosquitto && groupdel mosquitto; true")
    run(_FORGET)
    run("/usr/bin/tedge init")
    before = run("cat /etc/passwd /etc/group /etc/shadow")
    assert run(_SHOW) == _MADE
    run("chown nobody /etc/tedge/device-certs; chmod 700 /etc/tedge; rmdir /run/tedge-cert-renewer")
    run("TEDGE_CONFIG_DIR= tedge init --user tedge --group tedge --relative-links")
    assert run(_SHOW) == _MADE
    assert run("cat /etc/passwd /etc/group /etc/shadow") == before
    # Its library runs as the user that was made.
    said = run("tedge cert create-csr --device-id device-1 2>&1; stat -c '%U:%G %a' /etc/tedge/device-certs/*")
    assert said.splitlines()[1:] == ["tedge:mosquitto 640", "tedge:mosquitto 644"], said
