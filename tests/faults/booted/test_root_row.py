# SPDX-License-Identifier: Apache-2.0
"""User tedge against root: each setting and each file of tedge's leads root astray, root runs everything that it has.

Whatever root then reads, writes, gives away, starts or sends is found by a comparison of all that is root's, by
canaries whose readings are noted, and by a listener of tedge's.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.booted import observer
from faults.booted.attacker import CANARY, HOME, PORT, SECRET, aim, bind, listening
from faults.record import Matrix
from system.device import Device
from system.onboarding import PASSWORD, TENANT
from system.renewer import CANDIDATE, CERTIFICATE, KEY, PREVIOUS, SERVICE, STATE
from tedge_cert.config.keys.table import KEYS

pytestmark = [pytest.mark.one_release, pytest.mark.row("User tedge against root")]

BIN = Path(__file__).resolve().parents[3] / "bin"
OBSERVER = "/root/observer.py"
TIMEOUT_S = 90
DOWNLOAD_OPTIONS = f"--device-id x --one-time-password {PASSWORD} --max-timeout 0 --retry-every 1"
# By executable, in the order in which they are run: what removes or disconnects comes last. `True`: in the quick form.
COMMANDS: dict[str, dict[str, bool]] = {
    "tedge": {"--help": False},
    "tedge-completions": {"bash": False},
    "tedge-config": {"list": False, "get device.id": True, "set c8y.device.id x": False, "unset c8y.device.id": False},
    "tedge-cert-show": {"": False, "c8y": False},
    "tedge-cert-status": {"": True, "--json --online": False},
    "tedge-cert-needs-renewal": {"c8y": False, "--systemd c8y": False},
    "tedge-cert-needs-download": {"c8y": False},
    "tedge-cert-download-once": {"c8y": False},
    "tedge-cert-finish-download": {"c8y": True},
    "tedge-cert-renew": {"c8y": False, "--ca self-signed c8y": True, "--systemd c8y": False, "--new-key c8y": False},
    "tedge-cert-verify": {"c8y": True},
    "tedge-cert-cleanup": {"c8y": False},
    "tedge-cert-create-csr": {"--device-id x": True},
    "tedge-cert-create": {"--device-id x": False},
    "tedge-cert-upload": {"c8y --user admin": False},
    "tedge-http": {"get /c8y/inventory/managedObjects": True},
    "tedge-hsm": {"create-key --tpm c8y": False, "create-key c8y": True, "list-tokens": False, "check-pin": True},
    "tedge-cert-create-key-hsm": {"c8y": False},
    "tedge-reconnect": {"c8y --offline": True, "c8y": False},
    "tedge-cert-download": {f"c8y {DOWNLOAD_OPTIONS}": False},
    "tedge-disconnect": {"c8y": False},
    "tedge-connect": {"c8y --offline": False, "c8y --test": False, "c8y": False},
    "tedge-init": {"": False},
    "tedge-cert-remove": {"": False},
}
SCRIPTS = "/var/lib/dpkg/info/tedge-cert-renewer"
OTHERS = {
    "systemd-tmpfiles --create": False,
    f"systemctl start {SERVICE}": False,
    "systemctl start tedge-cert-download@c8y.service": False,
    f"{SCRIPTS}-common.preinst upgrade 0.2.0": False,
    f"{SCRIPTS}.postinst configure 0.1.0": True,
}
# What a key needs beside it to be looked at.
BROKER: dict[str, str | int] = {"mqtt.client.host": "127.0.0.1", "mqtt.client.port": PORT}
PAIR = {"cert_file": f"{HOME}/cert", "key_file": f"{HOME}/key"}
COMPANIONS: dict[str, dict[str, str | int]] = {
    "mqtt.client.auth.password_file": {**BROKER, "mqtt.client.auth.username": "tedge"},
    "mqtt.client.auth.ca_file": BROKER,
    "mqtt.client.auth.ca_dir": BROKER,
    "mqtt.client.auth.cert_file": {
        "mqtt.client.auth.key_file": PAIR["key_file"],
        "mqtt.client.auth.ca_file": PAIR["cert_file"],
    },
    "mqtt.client.auth.key_file": {
        "mqtt.client.auth.cert_file": PAIR["cert_file"],
        "mqtt.client.auth.ca_file": PAIR["cert_file"],
    },
    "mqtt.external.ca_path": {f"mqtt.external.{name}": path for name, path in PAIR.items()},
    "mqtt.external.cert_file": {"mqtt.external.key_file": PAIR["key_file"]},
    "mqtt.external.key_file": {"mqtt.external.cert_file": PAIR["cert_file"]},
    "c8y.credentials_path": {"c8y.auth_method": "basic"},
    "device.cryptoki.pin_path": {
        "device.cryptoki.mode": "module",
        "device.cryptoki.module_path": "/usr/lib/x86_64-linux-gnu/libc.so.6",
    },
    "device.cryptoki.module_path": {"device.cryptoki.mode": "module"},
}
for _name in ("ca_path", "cert_file", "key_file"):
    COMPANIONS[f"mqtt.external.{_name}"]["mqtt.external.bind.port"] = 8884
# All other paths are only stored, for thin-edge's other parts; the whole form tries them too.
USED = ("device.key_path", "device.cert_path", "device.csr_path", "device.cryptoki.", "c8y.", "mqtt.", "run.path")
# Those of a cloud follow those of the device, by the same lines of code.
UNUSED = ("c8y.proxy.", "c8y.device.")
PATHS = [name for name, key in KEYS.items() if key.is_path]
HOSTS = ("c8y.url", "c8y.http", "c8y.mqtt", "mqtt.client.host", "proxy.address")
MARKS = ("registering", "registered", "unjudged", "json")
RUN_MARKS = ("c8y.restart", "c8y.rejected", "c8y.access-token", "c8y.attempts", "planted.lock")


def _itself(device: Device) -> str:
    del device
    return CANARY


def _link(device: Device) -> str:
    device.run(f"ln -sfn {CANARY} {HOME}/link", user="tedge")
    return f"{HOME}/link"


def _directory(device: Device) -> str:
    device.run(f"ln -sfn /srv/canary {HOME}/directory", user="tedge")
    return f"{HOME}/directory/file"


def _directory_of_locks(device: Device) -> str:
    """What `run.path` names holds a directory of this name."""
    device.run(f"ln -sfn /etc/bash_completion.d {HOME}/tedge-cert-renewer", user="tedge")
    return HOME


def _mount(device: Device) -> str:
    return bind(device, CANARY)


def _pipe(device: Device) -> str:
    device.run(f"mkfifo {HOME}/pipe", user="tedge")
    return f"{HOME}/pipe"


def _endless(device: Device) -> str:
    del device
    return "/dev/zero"


TRAPS: dict[str, Callable[[Device], str]] = {
    "itself": _itself,
    "link": _link,
    "mount": _mount,
    "directory": _directory,
    "pipe": _pipe,
    "endless": _endless,
}


QUICK_TRAPS = ("itself", "mount", "link", "directory")


def commands(whole: bool) -> list[str]:
    """Return what root runs, as it is typed."""
    typed = {f"{name} {words}".strip(): quick for name, forms in COMMANDS.items() for words, quick in forms.items()}
    return [each for each, quick in {**typed, **OTHERS}.items() if quick or whole]


def observed(device: Device, whole: bool) -> list[str]:
    """Let root run everything; return what it did wrong."""
    asked = {"commands": commands(whole), "canaries": [CANARY], "secret": SECRET, "timeout_s": TIMEOUT_S}
    device.copy_in(Path(observer.__file__), OBSERVER)
    limit_s = TIMEOUT_S * len(OTHERS) * len(COMMANDS)
    done = device.run(["python3", "-I", OBSERVER], stdin=json.dumps(asked), timeout_s=limit_s)
    return list(json.loads(done.stdout))


def expect_nothing(device: Device, matrix: Matrix, may_read: bool = False) -> None:
    """Let root run everything beside a listener of tedge's; expect no finding, and no secret there."""
    with listening(device, f"{HOME}/both") as listener:
        findings = observed(device, matrix.whole)
        findings = [each for each in findings if not (may_read and each.endswith(f": read {CANARY}"))]
        matrix.tally.cases += len(commands(matrix.whole))
        heard = listener.heard()
    for secret in (SECRET, PASSWORD):
        findings += ["sent to a listener of tedge's"] if secret in heard else []
    assert not findings, "\n".join(findings)


@pytest.fixture
def attacked(target: Device) -> Device:
    """Return the device of the module, with a certificate and a key in the home of tedge."""
    request = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    target.run(f"cd {HOME} && {request} -keyout key -out cert 2>/dev/null && cat cert key > both", user="tedge")
    return target


def _cases() -> list[object]:
    """Every key that is used with every trap, with one of them in the quick form; all others with one trap."""
    made: list[object] = []
    for number, name in enumerate(PATHS):
        used = name.startswith(USED) and not name.startswith(UNUSED)
        for trap in TRAPS if used else ("mount",):
            quick = used and trap == ("directory" if name == "run.path" else QUICK_TRAPS[number % len(QUICK_TRAPS)])
            made.append(pytest.param(name, trap, id=f"{name}-{trap}", marks=[] if quick else pytest.mark.whole))
    return made


def test_all_commands_are_tried() -> None:
    assert sorted(COMMANDS) == sorted(each.name for each in BIN.iterdir())


@pytest.mark.parametrize(("name", "trap"), _cases())
def test_a_path(attacked: Device, matrix: Matrix, name: str, trap: str) -> None:
    prepare = _directory_of_locks if (name, trap) == ("run.path", "directory") else TRAPS[trap]
    aim(attacked, {**COMPANIONS.get(name, {}), name: prepare(attacked)})
    # A secret that root's settings name, on a path that only root can write, is root's to read.
    secrets = ("c8y.credentials_path", "device.cryptoki.pin_path")
    expect_nothing(attacked, matrix, may_read=name in secrets and trap == "itself")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each == "c8y.http" else pytest.mark.whole) for each in HOSTS]
)
def test_a_host(attacked: Device, matrix: Matrix, name: str) -> None:
    """Settings that name a server make root send no secret of its own to it."""
    secret = f'[c8y]\nhost = "{TENANT}"\nusername = "t1/x"\npassword = "{SECRET}"\n'
    attacked.write("/etc/tedge/credentials.toml", secret, mode=0o600)
    place = {"c8y.url": "localhost", "mqtt.client.host": "localhost", "proxy.address": f"http://localhost:{PORT}"}
    settings: dict[str, str | int] = {
        "c8y.auth_method": "basic",
        "c8y.root_cert_path": f"{HOME}/cert",
        "mqtt.client.port": PORT,
        "mqtt.client.auth.username": "tedge",
        "mqtt.client.auth.password_file": CANARY,
        name: place.get(name, f"localhost:{PORT}"),
    }
    aim(attacked, settings)
    expect_nothing(attacked, matrix)


FILES = (
    CERTIFICATE, CANDIDATE, PREVIOUS, KEY, f"{KEY}.new", f"{KEY}.previous", STATE, "/etc/tedge/device-certs/tedge.csr",
    *(f"/var/lib/tedge-cert-renewer/c8y.{each}" for each in MARKS if each != "json"),
    *(f"/run/tedge-cert-renewer/{each}" for each in RUN_MARKS),
    "/run/tedge-cert-renewer/etc-tedge-device-certs-tedge-certificate.pem.lock",
    "/run/tedge-cert-renewer/etc-tedge-device-certs-tedge-certificate.pem.holder",
    "/run/tedge-cert-renewer/etc-tedge-tedge.toml.lock",
    "/run/tedge-cert-renewer/dmi-serial",
)  # fmt: skip
QUICK_FILES = (CANDIDATE, STATE, "/var/lib/tedge-cert-renewer/c8y.registering")


# The kernel lets tedge link only what it may write (fs.protected_hardlinks), so the hard link is to a file of its own.
IN_PLACE = {
    "link": f"ln -s {CANARY} PATH",
    "pipe": "mkfifo PATH",
    "hard link": f"echo {{}} > {HOME}/linked && ln {HOME}/linked PATH",
    "directory": "mkdir PATH",
}


def _files() -> list[object]:
    made: list[object] = []
    for path in FILES:
        for trap in IN_PLACE:
            marks: list[pytest.MarkDecorator] = [] if trap == "link" and path in QUICK_FILES else [pytest.mark.whole]
            made.append(pytest.param(path, trap, id=f"{Path(path).name}-{trap}", marks=marks))
    return made


@pytest.mark.parametrize(("path", "trap"), _files())
def test_a_file(attacked: Device, matrix: Matrix, path: str, trap: str) -> None:
    attacked.run(f"rm -rf {path}; {IN_PLACE[trap].replace('PATH', path)}", user="tedge", check=False)
    expect_nothing(attacked, matrix)
