# SPDX-License-Identifier: Apache-2.0
"""User tedge, who may write the configuration, and other users cannot make root's commands harm the system."""

import pytest

from faults.record import Matrix
from system.device import Device
from system.onboarding import PASSWORD
from system.renewer import CERTIFICATE, KEY, SERVICE, make_due, start
from tenant.client import Tenant

pytestmark = pytest.mark.one_release

TOML = "/etc/tedge/tedge.toml"
VICTIM = "/etc/victim"
FACTS = f"stat -c '%n %U %G %a %h' {VICTIM}* /etc/cron.d/* /etc/shadow /etc; cat {VICTIM}*; ls -a /etc/cron.d /etc /run"
COMMANDS = (
    "tedge cert renew c8y",
    "tedge cert verify c8y",
    "tedge cert cleanup c8y",
    f"tedge cert download c8y --device-id x --one-time-password {PASSWORD} --max-timeout 0 --retry-every 1",
    "tedge cert create --device-id x",
    "tedge cert create-csr --device-id x",
    "tedge connect c8y",
    "tedge connect c8y --offline",
    "tedge reconnect c8y",
    "tedge disconnect c8y",
    "tedge cert remove",
)
# What stands in the configuration, by what tedge made beside it; HOME is a directory of tedge.
PATHS = {
    "the file itself": ("true", VICTIM),
    "a link": (f"ln -s {VICTIM} HOME/x.pem", "HOME/x.pem"),
    "a link to a directory": ("ln -s /etc HOME/d", "HOME/d/victim"),
    "a new file of root's": ("true", "/etc/cron.d/victim"),
}
QUICK = ("a link to a directory",)


def aim(device: Device, key: str, path: str) -> None:
    """User tedge writes the configuration, which is its own file."""
    script = (
        f"sed -i '/^{key} =/d; /^\\[device\\]/d' {TOML}.mine; printf '[device]\\n{key} = \"{path}\"\\n' >> {TOML}.mine"
    )
    device.run(f"cp {TOML} {TOML}.mine && {script} && cat {TOML}.mine > {TOML} && rm {TOML}.mine")


@pytest.mark.row("Who may do what: user tedge")
@pytest.mark.parametrize(
    "trick", [pytest.param(each, marks=[] if each in QUICK else pytest.mark.whole) for each in PATHS]
)
def test_roots_commands_change_nothing_of_roots(connected: Device, matrix: Matrix, trick: str) -> None:
    connected.run(
        f"echo root > {VICTIM}; echo root > {VICTIM}.previous; echo root > {VICTIM}.new; mkdir -p /etc/cron.d"
    )
    connected.run(f"chmod 600 {VICTIM}*; install -d -o tedge -g tedge /home/tedge; cp {TOML} /root/before")
    prepare, path = PATHS[trick]
    connected.run(prepare.replace("HOME", "/home/tedge"), user="tedge", check=False)
    before = connected.run(FACTS).stdout
    keys = ("cert_path", "key_path", "csr_path") if matrix.whole else ("csr_path",)
    for key in keys:
        connected.run(f"cat /root/before > {TOML}")
        aim(connected, key, path.replace("HOME", "/home/tedge"))
        for command in COMMANDS:
            with matrix.case(f"{key}: {command}"):
                done = connected.run(command, check=False, timeout_s=200)
                matrix.said(done.stderr)
                assert connected.run(FACTS).stdout == before, done


@pytest.mark.row("Who may do what: user tedge")
def test_locks_lead_nowhere_else(connected: Device, matrix: Matrix) -> None:
    connected.run("install -d -o tedge -g tedge /home/tedge; mkdir -p /etc/logrotate.d")
    connected.run("ln -s /etc/logrotate.d /home/tedge/tedge-cert-renewer", user="tedge")
    connected.run(f"printf '[run]\\npath = \"/home/tedge\"\\n' >> {TOML}")
    before = connected.run("ls -la /etc/logrotate.d").stdout
    for command in (
        "tedge cert renew c8y",
        "tedge reconnect c8y",
        "tedge cert cleanup c8y",
        "tedge config set device.type x",
    ):
        with matrix.case(command):
            matrix.said(connected.run(command, check=False).stderr)
            assert connected.run("ls -la /etc/logrotate.d").stdout == before


@pytest.mark.row("Who may do what: a local user")
def test_another_user_gets_at_nothing(connected: Device, tenant: Tenant, matrix: Matrix) -> None:
    connected.run("useradd -m stranger")
    lock = "/run/tedge-cert-renewer/etc-tedge-device-certs-tedge-certificate.pem.lock"
    config_lock = "/run/tedge-cert-renewer/etc-tedge-tedge.toml.lock"
    connected.run("tedge cert renew c8y --new-key")
    tries = {
        "key": f"cat {KEY}",
        "lock": f"flock -n {lock} true",
        "lock of the configuration": f"flock -n {config_lock} true",
        "candidate": f"touch {CERTIFICATE}.new",
        "candidate key": f"cat {KEY}.new",
        "key of previous": f"touch {KEY}.previous",
        "directory of locks": "touch /run/tedge-cert-renewer/x",
        "previous": f"ln -s /etc/passwd {CERTIFICATE}.previous",
        "broker": "touch /etc/tedge/mosquitto-conf/x.conf",
        "configuration": f"sh -c 'echo >> {TOML}'",
        "state": "touch /var/lib/tedge-cert-renewer/x",
        "unit": f"systemctl --no-ask-password start {SERVICE}",
    }
    for name, command in tries.items():
        with matrix.case(name):
            assert connected.run(command, user="stranger", check=False).exit_code != 0
    for command in ("renew", "verify", "cleanup"):
        with matrix.case(command):
            done = connected.run(f"tedge cert {command} c8y", user="stranger", check=False)
            assert done.exit_code == 1, done
            refused = ("error: cannot", "cannot", f"error: this needs root: sudo tedge cert {command} c8y")
            assert matrix.said(done.stderr).startswith(refused), done
    connected.run(f"rm {CERTIFICATE}.new {KEY}.new")
    make_due(connected)
    assert start(connected).outcome == "success"
    assert tenant.device(connected.name)["connected"]
