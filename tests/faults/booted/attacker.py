# SPDX-License-Identifier: Apache-2.0
"""Prepare attacks on a device as user tedge: settings, links, mounts, a listener, certificates."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from system.background import Background
from system.device import Device
from system.renewer import CERTIFICATE, KEY

TOML = "/etc/tedge/tedge.toml"
HOME = "/home/tedge"
CANARY = "/srv/canary/file"
"""A file that only root may read. Its access time shows each reading: the mount has strictatime."""
SECRET = "canary-5f2d7c01a9"
PORT = 18_830

_LISTENER = """
import socket, ssl, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
context = None
if sys.argv[2:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
print("listening", flush=True)
while True:
    peer, _ = server.accept()
    peer.settimeout(0.5)
    try:
        if context and peer.recv(1, socket.MSG_PEEK) == b"\\x16":
            peer = context.wrap_socket(peer, server_side=True)
        while data := peer.recv(65536):
            print("heard", ascii(data), flush=True)
    except OSError:
        pass
    peer.close()
"""
_FORGE = """
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, sys.argv[1])])
key = serialization.load_pem_private_key(open(sys.argv[2], "rb").read(), None)
made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(5)
now = datetime.datetime.now(datetime.timezone.utc)
made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=300))
print(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), end="")
"""
_SAVED = (
    "etc/tedge etc/mosquitto/conf.d etc/shadow etc/ssl/openssl.cnf var/lib/tedge-cert-renewer run/tedge-cert-renewer"
)
# A new file each time: an attack that worked gave the former one away.
_PLANT = f"rm -f {CANARY}; (umask 077; echo {SECRET} > {CANARY})"
_SAVE = f"""
mkdir -p /srv/canary /etc/bash_completion.d
mount -t tmpfs -o strictatime,mode=755 canary /srv/canary
{_PLANT}
install -d -o tedge -g tedge {HOME}
tar -C / -cpf /root/before.tar {_SAVED}
"""
_RESTORE = f"""
pkill -KILL -u tedge
systemctl stop tedge-cert-download@c8y.service 'tedge-cert-renewer@*.service' 2>/dev/null
find {HOME} -mindepth 1 -delete
{_PLANT}
rm -rf /tmp/tedge /run/pwned /etc/bash_completion.d/* /etc/cron.d/planted
saved=$(tar -C / -xOf /root/before.tar --wildcards 'etc/tedge/mosquitto-conf/*')
[ "$(cat /etc/tedge/mosquitto-conf/*)" = "$saved" ] || changed=yes
rm -rf /etc/tedge /var/lib/tedge-cert-renewer /run/tedge-cert-renewer /etc/mosquitto/conf.d
tar -C / -xpf /root/before.tar
systemctl reset-failed
systemctl is-active --quiet tedge-cert-renewer@c8y.timer || systemctl enable --now tedge-cert-renewer@c8y.timer
[ -z "$changed" ] && systemctl is-active --quiet mosquitto.service || systemctl restart mosquitto.service
"""


def prepare(device: Device) -> None:
    """Make the canary and a home for user tedge, and keep what `restore` puts back."""
    device.run(_SAVE)


def restore(device: Device) -> None:
    """Put settings, certificates, state and the broker back as `prepare` found them; end all processes of tedge's."""
    device.stop_background()
    device.run(_RESTORE, check=False, timeout_s=120)


def aim(device: Device, values: Mapping[str, str | int]) -> None:
    """Let `tedge.toml` hold these values, whoever wrote them there; its owner and mode stay."""
    found = dict(_flat(tomllib.loads(device.read(TOML)), ""))
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in {**found, **values}.items()]
    device.run(["sh", "-ec", f"cat > {TOML}"], stdin="".join(lines))


def _flat(tree: Mapping[str, object], above: str) -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def bind(device: Device, target: str) -> str:
    """Show ``target`` in a mount namespace of tedge's; return a path through /proc that leads root there."""
    mounted = f"mount --bind {target} /tmp/tedge/key.pem"
    script = f": > /tmp/tedge/key.pem && {mounted} && echo bound $$ && exec sleep infinity"
    device.run("mkdir -p /tmp/tedge", user="tedge")
    process = device.start(["unshare", "-Urm", "sh", "-ec", script], user="tedge")
    return f"/proc/{process.expect('bound').split()[1]}/root/tmp/tedge/key.pem"


def forge_certificate(device: Device, name: str) -> None:
    """Put a certificate for the device's key with this name in the place of the active one, as tedge."""
    made = device.run(["python3", "-c", _FORGE, name, KEY], user="tedge").stdout
    device.run(["sh", "-ec", f"cat > {CERTIFICATE}"], user="tedge", stdin=made)


@dataclass(frozen=True)
class Listener:
    """A server of tedge's on the loopback."""

    process: Background
    device: Device

    def heard(self) -> str:
        """Return all that has arrived until now."""
        # It serves one peer after the other: when it has this, it has all that came before.
        self.device.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{PORT}; echo the-end >&3"])
        self.process.expect("the-end")
        return "\n".join(each for each in self.process.lines if each.startswith("heard"))


@contextmanager
def listening(device: Device, certificate: str = "") -> Iterator[Listener]:
    """Listen as tedge; with the file of a certificate and its key speak TLS to those who do."""
    process = device.start(
        ["python3", "-c", _LISTENER, str(PORT), *([certificate] if certificate else [])], user="tedge"
    )
    process.expect("listening")
    try:
        yield Listener(process, device)
    finally:
        process.stop()


def readings(device: Device) -> str:
    """Return when the canary was read last, by any process."""
    return device.run(["stat", "--format=%x", CANARY]).stdout
