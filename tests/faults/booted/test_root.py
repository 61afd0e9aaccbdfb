# SPDX-License-Identifier: Apache-2.0
"""Ways in which code that runs as user tedge became root, or read what root keeps to itself. Each one must fail.

The settings are written by root here, as an administrator or an earlier installation may have left them. Everything
else is done as user tedge.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.booted.attacker import CANARY, HOME, PORT, SECRET, TOML, aim, bind, forge_certificate, listening, readings
from faults.booted.conftest import Shared
from faults.record import Matrix
from system import thin_edge
from system.device import Device
from system.devices import Devices
from system.installing import install
from system.onboarding import PASSWORD, TENANT, introduce
from system.renewer import CANDIDATE, CERTIFICATE, KEY, SERVICE, STATE, TIMER, make_due, start
from tenant.client import Tenant

pytestmark = pytest.mark.row("User tedge against root")
one_release = pytest.mark.one_release

SHADOW = "stat -c '%U %G %a' /etc/shadow"
DOWNLOAD = "tedge-cert-download@c8y.service"
RUN = "/run/tedge-cert-renewer"
SCRIPTS = "/var/lib/dpkg/info/tedge-cert-renewer"
CONFIGURE = f"{SCRIPTS}.postinst configure 0.1.0"
PREINST = f"{SCRIPTS}-common.preinst upgrade 0.2.0"
ESCAPES = "a\x1b[2J\x9b2J\u202eb"
LEGACY = """\
openssl_conf = conf
[conf]
ssl_conf = ssl
[ssl]
system_default = system
[system]
MinProtocol = TLSv1
CipherString = DEFAULT@SECLEVEL=0
"""


def unprintable(text: str) -> str:
    """Return what is neither text nor a line break nor a tab."""
    return "".join(each for each in text if not each.isprintable() and each not in "\n\t")


# settings


@one_release
def test_the_settings_belong_to_root(target: Device) -> None:
    before = target.read(TOML)
    facts = target.stat(TOML)
    assert (facts.owner, facts.group, facts.mode) == ("root", "root", 0o644)
    assert target.run(f"echo '# mine' >> {TOML}", user="tedge", check=False).exit_code != 0
    done = target.run("tedge config set device.type mine", user="tedge", check=False)
    assert done.exit_code == 1, done
    assert "sudo tedge config set" in done.stderr
    assert target.read(TOML) == before


# owners: a path through the mounts of another process


@one_release
@pytest.mark.parametrize("key", ["device.key_path", "device.cert_path", "device.csr_path"])
@pytest.mark.parametrize("command", ["tedge reconnect c8y", "tedge connect c8y --offline", CONFIGURE])
def test_no_file_of_roots_is_given_away(target: Device, key: str, command: str) -> None:
    before = target.run(SHADOW).stdout
    aim(target, {key: bind(target, "/etc/shadow")})
    if "connect c8y --offline" in command:
        target.run("rm -f /etc/tedge/mosquitto-conf/c8y-bridge.conf")
    target.run(command, check=False, timeout_s=200)
    assert target.run(SHADOW).stdout == before


@one_release
def test_an_hour_that_fails_gives_no_file_of_roots_away(target: Device) -> None:
    before, after = target.run(SHADOW).stdout, target.cursor()
    aim(target, {"device.key_path": bind(target, "/etc/shadow"), "certificate.validity.minimum_duration": "x"})
    target.run("echo '{}' > /var/lib/tedge-cert-renewer/c8y.registering", user="tedge")
    assert start(target).outcome == "failed"
    # Waits for what OnFailure= started, or starts it once more.
    target.systemctl("start", DOWNLOAD, check=False)
    assert target.run(SHADOW).stdout == before
    assert not [each for each in target.journal(DOWNLOAD, after=after) if "Reconnecting" in each.message]


# reading: files that root may read go nowhere


ASKING = (
    "tedge cert status",
    "tedge cert status --json --online",
    "tedge connect c8y --test",
    "tedge reconnect c8y",
    "tedge cert renew c8y",
    "tedge cert verify c8y",
    "tedge disconnect c8y",
    "tedge http get /c8y/inventory/managedObjects",
    CONFIGURE,
)


@one_release
def test_no_password_file_of_roots_is_sent(target: Device, matrix: Matrix) -> None:
    settings: dict[str, str | int] = {
        "mqtt.client.host": "127.0.0.1",
        "mqtt.client.port": PORT,
        "mqtt.client.auth.username": "tedge",
        "mqtt.client.auth.password_file": CANARY,
    }
    aim(target, settings)
    before = readings(target)
    with listening(target) as listener:
        for command in ASKING:
            with matrix.case(command):
                target.run(command, check=False, timeout_s=200)
                assert SECRET not in listener.heard()
                assert readings(target) == before


@one_release
def test_an_hour_that_fails_sends_no_password_file_of_roots(target: Device) -> None:
    settings: dict[str, str | int] = {
        "mqtt.client.host": "127.0.0.1",
        "mqtt.client.port": PORT,
        "mqtt.client.auth.username": "tedge",
        "mqtt.client.auth.password_file": CANARY,
        "certificate.validity.minimum_duration": "x",
        # The bridge's file is not current, so there is something to connect.
        "c8y.bridge.keepalive_interval": "61s",
    }
    aim(target, settings)
    target.run("echo '{}' > /var/lib/tedge-cert-renewer/c8y.registering", user="tedge")
    with listening(target) as listener:
        assert start(target).outcome == "failed"
        target.systemctl("start", DOWNLOAD, check=False, timeout_s=200)
        assert SECRET not in listener.heard()


@one_release
def test_the_tenants_password_goes_to_the_tenant_alone(target: Device) -> None:
    """Settings that name another host make root send the password of its credentials file there."""
    owner = f'[c8y]\nhost = "{TENANT}"\nusername = "t1/x"\npassword = "{SECRET}"\n'
    target.write("/etc/tedge/credentials.toml", owner, mode=0o600)
    request = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    target.run(f"cd {HOME} && {request} -keyout key -out cert && cat cert key > both", user="tedge")
    host = f"localhost:{PORT}"
    aim(target, {"c8y.auth_method": "basic", "c8y.http": host, "c8y.root_cert_path": f"{HOME}/cert"})
    with listening(target, f"{HOME}/both") as listener:
        target.run("tedge http get /c8y/x", check=False)
        heard = listener.heard()
    assert "Authorization" not in heard


# writing: places that settings name


@one_release
def test_a_request_to_the_tenant_writes_nothing_of_roots(target: Device) -> None:
    target.run(f"ln -s /etc/bash_completion.d {HOME}/tedge-cert-renewer", user="tedge")
    aim(target, {"run.path": HOME})
    target.run("tedge http get /c8y/inventory/managedObjects", check=False)
    assert target.listing("/etc/bash_completion.d") == []


@one_release
def test_a_link_to_the_credentials_publishes_nothing(target: Device) -> None:
    """A directory of thin-edge 2.x, which is still tedge's, with a link in the place of a file."""
    target.write("/etc/tedge/credentials.toml", f'[c8y]\nusername = "x"\npassword = "{SECRET}"\n', mode=0o600)
    target.run("install -d -o tedge -g tedge /etc/tedge/mappers /etc/tedge/mappers/c8y")
    target.run("ln -s /etc/tedge/credentials.toml /etc/tedge/mappers/c8y/mapper.toml", user="tedge")
    for command in ("tedge config set c8y.smartrest.use_operation_id false", CONFIGURE):
        target.run(command, check=False)
        read = target.run(
            f"grep -rs {SECRET} /etc/tedge /home /run /var/lib/tedge-cert-renewer", user="tedge", check=False
        )
        assert read.stdout == ""
        assert target.stat("/etc/tedge/credentials.toml").mode == 0o600


# the shell of an administrator


TAB = """\
source /usr/share/bash-completion/completions/tedge
COMP_WORDS=(tedge cert show --profile ''); COMP_CWORD=4
_tedge
printf '%s\\n' "${COMPREPLY[@]}"
"""


@one_release
@pytest.mark.parametrize(
    "name",
    [
        "a\nc8y.profiles.$(touch /run/pwned).url=",
        "a\nc8y.profiles.`touch /run/pwned`.url=",
        "a\nc8y.profiles.$(id).url=",
    ],
)
def test_completion_runs_nothing(target: Device, name: str) -> None:
    forge_certificate(target, name)
    said = target.run(["bash", "-c", TAB], check=False)
    assert not target.exists("/run/pwned")
    assert "uid=" not in said.stdout


@one_release
def test_a_name_that_is_not_printable_is_no_device_id(target: Device) -> None:
    forge_certificate(target, "a\nc8y.url=evil.test")
    assert "c8y.url=evil.test" not in target.run("tedge config list").stdout.splitlines()
    assert "evil.test" not in target.run("tedge config get device.id", check=False).stdout.splitlines()[1:]


@one_release
@pytest.mark.parametrize(
    "command",
    [
        "tedge cert status",
        "tedge config get device.id",
        "tedge config list",
        "tedge cert show",
        "tedge connect c8y --test",
    ],
)
def test_a_name_does_not_steer_the_terminal(target: Device, command: str) -> None:
    forge_certificate(target, ESCAPES)
    done = target.run(command, check=False, timeout_s=120)
    assert unprintable(done.stdout + done.stderr) == ""


@one_release
def test_what_the_tenant_says_does_not_steer_the_terminal(shared: Shared, target: Device) -> None:
    shared.tenant.fault(where="est", do="status", status=400, body=f"no {ESCAPES}")
    make_due(target)
    assert start(target).outcome == "failed"
    for command in ("tedge cert status", "tedge cert status --json", "tedge cert renew c8y"):
        done = target.run(command, check=False)
        assert unprintable(done.stdout + done.stderr) == "", command
    target.run(f"""sed -i 's/"no [^"]*/"\\\\u001b[2J/' {STATE}""", user="tedge")
    done = target.run("tedge cert status", check=False)
    assert unprintable(done.stdout + done.stderr) == ""


# depth, size, time


@one_release
def test_a_deeply_nested_answer_is_an_attempt_that_failed(shared: Shared, target: Device) -> None:
    shared.tenant.fault(where="access", do="status", status=200, body="[" * 65_536)
    shared.tenant.fault(where="token", do="silence")
    make_due(target)
    run = start(target)
    assert not [each for each in run.lines if "Traceback" in each]
    assert run.outcome == "failed"
    assert '"attempts": 1' in target.read(STATE)


def test_a_deeply_nested_token_is_no_token(shared: Shared, target: Device) -> None:
    """Any local client may publish where the tenant's tokens come."""
    shared.tenant.fault(where="token", do="silence")
    payload = "python3 -c \"import base64; print('71,a.' + base64.b64encode(b'[' * 6000).decode() + '.b', end='')\""
    target.run(f"{payload} > {HOME}/token", user="tedge")
    answer = f"while read -r _; do mosquitto_pub -t c8y/s/dat -f {HOME}/token; done"
    target.start(f"echo ready; mosquitto_sub -t c8y/s/uat -F asked | {answer}", user="tedge").expect("ready")
    target.wait_for("pgrep -u tedge mosquitto_sub")
    done = target.run("tedge connect c8y --test", check=False, timeout_s=120)
    assert "Traceback" not in done.stderr, done


@one_release
@pytest.mark.parametrize("path", ["/dev/zero", "FIFO"])
def test_trust_anchors_without_end_hold_nobody_up(target: Device, matrix: Matrix, path: str) -> None:
    fifo = f"{HOME}/fifo"
    target.run(f"mkfifo {fifo}", user="tedge")
    aim(target, {"c8y.root_cert_path": path.replace("FIFO", fifo)})
    for command in (
        "tedge cert status --online",
        "tedge connect c8y --test",
        "tedge reconnect c8y",
        "tedge http get /c8y/x",
        f"tedge cert download c8y --device-id x --one-time-password {PASSWORD} --max-timeout 0 --retry-every 1",
    ):
        with matrix.case(command):
            done = target.run(f"timeout 20 prlimit --as=600000000 {command}", check=False)
            assert done.exit_code in (0, 1, 2), done
            assert "Traceback" not in done.stderr, done
            if "--test" not in command:
                assert "c8y.root_cert_path" in done.stdout + done.stderr, done


@one_release
def test_a_chain_of_thousands_is_refused(shared: Shared, target: Device) -> None:
    csr = target.run(f"openssl req -new -key {KEY} -subj /CN={target.name}").stdout
    before = target.read(CERTIFICATE)
    leaf = shared.tenant.issue(csr, lifetime_s=700 * 86_400)
    authority = shared.tenant.issue_key("other")["chain"]
    target.write(CANDIDATE, leaf + authority * 1500, owner="tedge:mosquitto")
    done = target.run("tedge cert verify c8y", check=False, timeout_s=120)
    assert done.exit_code == 3, done
    assert done.duration_s < 10
    assert target.read(CERTIFICATE) == before


def test_https_is_never_older_than_tls_1_2(target: Device) -> None:
    target.write("/etc/ssl/openssl.cnf", LEGACY)
    request = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    target.run(f"cd {HOME} && OPENSSL_CONF=/dev/null {request} -keyout key -out cert", user="tedge")
    aim(target, {"c8y.root_cert_path": f"{HOME}/cert"})
    words = f"openssl s_server -accept {PORT} -cert {HOME}/cert -key {HOME}/key -tls1_1 -cipher ALL:@SECLEVEL=0"
    server = target.start(f"exec stdbuf -oL {words} < /dev/zero", user="tedge")
    server.expect("ACCEPT")
    options = f"--device-id x --one-time-password {PASSWORD} --max-timeout 0 --retry-every 1"
    target.run(f"rm {CERTIFICATE}")
    done = target.run(f"tedge cert download c8y --url localhost:{PORT} {options}", check=False)
    assert done.exit_code == 1
    assert not [each for each in server.stop() if "Authorization" in each]


# maintainer scripts


@one_release
def test_a_pipe_does_not_hold_an_upgrade_up(target: Device) -> None:
    target.run(f"mkfifo {RUN}/a.lock", user="tedge")
    assert target.run(f"timeout 30 {PREINST}", check=False, timeout_s=60).exit_code == 0


@one_release
@pytest.mark.whole
def test_held_locks_have_one_deadline(target: Device) -> None:
    held = "for each in a b c; do flock $each.lock sleep infinity & done; echo held; wait"
    target.start(f"cd {RUN}; {held}", user="tedge").expect("held")
    assert target.run(f"timeout 150 {PREINST}", check=False, timeout_s=200).exit_code == 0


RACE = f"""
import os
os.chdir("{RUN}")
print("racing", flush=True)
while True:
    open("new", "w").close()
    os.rename("new", "a.lock")
    os.symlink("/etc/cron.d/planted", "new")
    os.rename("new", "a.lock")
"""


@one_release
def test_a_link_makes_no_file_of_roots(target: Device) -> None:
    target.start(["python3", "-c", RACE], user="tedge").expect("racing")
    loop = f"for i in $(seq 100); do timeout 30 {PREINST}; test ! -e /etc/cron.d/planted || break; done"
    target.run(loop, check=False, timeout_s=200)
    assert not target.exists("/etc/cron.d/planted")


# the journal


@one_release
def test_the_status_believes_nobody_else_in_the_journal(target: Device) -> None:
    target.systemctl("stop", TIMER)
    entry = (
        f"MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7\nUNIT={SERVICE}\nINVOCATION_ID={'a' * 32}\nMESSAGE=forged-entry\n"
    )
    target.run(["logger", "--journald"], user="nobody", stdin=entry)
    target.run("journalctl --sync")
    target.systemctl("daemon-reexec")
    assert "forged-entry" not in target.run("tedge cert status", check=False).stdout
    assert "forged-entry" not in target.run("tedge cert status --json", check=False).stdout


# taking over from thin-edge


@pytest.fixture
def theirs(devices: Devices, tmp_path: Path) -> Iterator[tuple[Device, Tenant]]:
    """A device connected by thin-edge's packages, whose directories are all tedge's, and its tenant."""
    device = devices.make("dependencies")
    address = device.network.host
    with Tenant.start(tmp_path / "tenant", [TENANT, address], address) as tenant:
        introduce(device, tenant, address)
        device.boot()
        install(device, *thin_edge.build(tmp_path / "theirs"))
        thin_edge.connect(device, tenant)
        yield device, tenant


@one_release
def test_nothing_that_tedge_left_configures_the_broker(theirs: tuple[Device, Tenant], package: Path) -> None:
    device, _ = theirs
    conf = "/etc/tedge/mosquitto-conf"
    device.run(f"printf 'user root\\n' > {conf}/evil.conf; ln -s /home/evil {conf}/link.conf", user="tedge")
    device.run(f"printf 'log_dest file /run/evil.log\\n' >> {thin_edge.BRIDGE}", user="tedge")
    said = install(device, package).stdout
    assert "evil.conf" in said
    assert device.run(f"find {conf} ! -user root").stdout == ""
    assert "/run/evil.log" not in device.read(thin_edge.BRIDGE)
    assert "/etc/sudoers.d/tedge" in device.run("tedge cert status", check=False).stdout
