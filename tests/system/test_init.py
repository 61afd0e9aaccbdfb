# SPDX-License-Identifier: Apache-2.0
"""`tedge init` makes what the package's own scripts and systemd make, in a tree that has neither."""

from collections.abc import Callable
from pathlib import Path

import pytest

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


Run = Callable[[str], str]


@pytest.fixture
def run(release: str, package: Path, tmp_path: Path) -> Run:
    """Run a script in a tree that has the files of the package, and nothing that its scripts make."""
    tree = Overlay(trees.dependencies(release, package), tmp_path / "tree")
    tree.prepare()
    for each in with_common(package):
        command(["dpkg-deb", "--extract", str(each), str(tree.upper)])
    # Nothing of this machine's environment: each unknown TEDGE_* in it would be named.
    clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
    return lambda script: command(tree.chroot([*clean, "sh", "-ec", script]), timeout_s=120)


def test_init_makes_accounts_and_directories(run: Run) -> None:
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


_KEYS = {"rsa": "RSA -pkeyopt rsa_keygen_bits:2048", "ec": "EC -pkeyopt ec_paramgen_curve:P-256"}
_AS_DAEMON = "setpriv --reuid=daemon --regid=daemon --clear-groups"


def test_a_request_is_made_with_a_key_that_root_made(run: Run) -> None:
    run("tedge init")
    for name, algorithm in _KEYS.items():
        key = f"/etc/tedge/device-certs/{name}.key"
        run(f"openssl genpkey -algorithm {algorithm} -out {key} && chown root:root {key} && chmod 600 {key}")
        run(f"tedge config set device.key_path {key}")
        run(f"tedge cert create-csr --device-id {name}-1")
        assert run(f"stat -c '%U:%G %a' {key}") == "tedge:mosquitto 640\n"
        assert f"CN = {name}-1" in run(
            "openssl req -noout -subject -verify -nameopt oneline -in /etc/tedge/device-certs/tedge.csr"
        )


def test_a_key_of_roots_elsewhere_is_named_with_its_cure(run: Run) -> None:
    run("tedge init; mkdir /srv/keys; rm -f /etc/tedge/device-certs/*")
    run(
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out /srv/keys/a.pem; chmod 600 /srv/keys/a.pem"
    )
    run("tedge config set device.key_path /srv/keys/a.pem")
    said = run("tedge cert create-csr --device-id d 2>&1 || true; ls /etc/tedge/device-certs")
    assert said.startswith("error: cannot read the private key /srv/keys/a.pem: Permission denied"), said
    assert said.endswith("; `sudo chown tedge:mosquitto /srv/keys/a.pem` gives it to user tedge\n"), said
    run("chown tedge:mosquitto /srv/keys/a.pem; tedge cert create-csr --device-id d")


def test_a_request_is_made_for_a_file_of_the_callers(run: Run) -> None:
    """The key decides: one that the caller may read needs no root."""
    run("tedge init; install -d -o daemon /srv/mine; tedge config set device.id device-1")
    run("tedge cert create-csr; rm /etc/tedge/device-certs/tedge.csr")
    command_line = f"cd /srv/mine; {_AS_DAEMON} tedge cert create-csr --output-path device.csr 2>&1"
    assert run(f"{command_line} || true") == (
        "error: this needs root: sudo tedge cert create-csr --output-path device.csr\n"
    )
    run("chmod 644 /etc/tedge/device-certs/tedge-private-key.pem")
    run(command_line)
    assert run("cd /srv/mine; stat -c '%U %a' device.csr; ls") == "daemon 644\ndevice.csr\n"
