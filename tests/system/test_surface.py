# SPDX-License-Identifier: Apache-2.0
"""Manual, completion and `tedge init` of the installed package."""

import pytest

from system.device import Device

DIRECTORIES = ("/etc/tedge", "/etc/tedge/device-certs", "/etc/tedge/mosquitto-conf", "/run/tedge-cert-renewer")


@pytest.mark.own_device
def test_init_makes_what_systemd_made(device: Device) -> None:
    before = [device.stat(path) for path in DIRECTORIES]
    device.run("rm -r /etc/tedge /run/tedge-cert-renewer && userdel tedge")
    device.run("setpriv --reuid=nobody tedge init 2>&1 | grep 'sudo tedge init'")
    for _ in range(2):
        done = device.run("tedge init")
        assert (done.stdout, done.stderr) == ("", "")
        found = [device.stat(path) for path in DIRECTORIES]
        assert [(each.owner, each.group, each.mode) for each in found] == [
            (each.owner, each.group, each.mode) for each in before
        ]
    assert device.run("getent passwd tedge | cut -d: -f6,7").stdout == "/etc/tedge:/usr/sbin/nologin\n"


def test_completion_of_the_package_is_what_the_command_prints(device: Device) -> None:
    shipped = "/usr/share/bash-completion/completions/tedge"
    device.run(f"bash -c 'cmp {shipped} <(tedge completions bash)'")
    line = 'COMP_WORDS=(tedge cert re) COMP_CWORD=2; _tedge; echo "${COMPREPLY[*]}"'
    done = device.run(f"bash -c '. {shipped}; {line}'")
    assert done.stdout == "remove renew\n"


def test_words_are_options_or_values_by_the_rule_of_every_python(device: Device) -> None:
    for words, code in {
        "config -- get device.type": 2,
        "config set mqtt.bind.port -1": 2,
        "config set mqtt.bind.port -- -1": 1,
        "config get -- device.type": 0,
        "config get c8y.url --profile a --profile a": 2,
        "cert show --new c8y": 1,
        "help cert renew": 0,
        "cret renew": 2,
    }.items():
        assert device.run(f"tedge {words}", check=False).exit_code == code, words
