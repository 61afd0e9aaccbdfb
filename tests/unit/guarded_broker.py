# SPDX-License-Identifier: Apache-2.0
"""A mosquitto whose local listener is an administrator's own: with TLS, or with users, or both."""

import subprocess
from pathlib import Path

import trustme

from unit.connected import instance_of
from unit.local_device import LocalDevice

USER, PASSWORD = "tedge", "local pass:word"


def guard(device: LocalDevice, *, tls: bool, users: bool, name: str = "127.0.0.1") -> Path:
    """Write the listener into the broker's configuration; the directory of anchors, certificates and passwords."""
    directory = device.directory / "guard"
    directory.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "root.pem"))
    server, client = authority.issue_cert(name), authority.issue_cert("client.example")
    for which, made in (("server", server), ("client", client)):
        made.private_key_pem.write_to_path(str(directory / f"{which}.key"))
        made.cert_chain_pems[0].write_to_path(str(directory / f"{which}.pem"))
    (directory / "password").write_text(PASSWORD + "\n")
    (directory / "password").chmod(0o600)
    users_file = directory / "users"
    users_file.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(users_file), USER, PASSWORD], check=True, capture_output=True)
    lines = ["per_listener_settings true", f"listener {device.port} 127.0.0.1"]
    if tls:
        lines += [f"{key} {directory}/{file}" for key, file in TLS.items()] + ["require_certificate true"]
    lines += ["allow_anonymous false", f"password_file {users_file}"] if users else ["allow_anonymous true"]
    bridges = instance_of(device).bridge_file.parent
    (bridges / "00-own.conf").write_text("\n".join(lines) + "\n")
    assert device.run("tedge-config set mqtt.bind.enabled false").exit == 0
    return directory


TLS = {"cafile": "root.pem", "certfile": "server.pem", "keyfile": "server.key"}


def introduce(device: LocalDevice, directory: Path, *, tls: bool, users: bool) -> None:
    """Tell the local clients what the listener wants."""
    settings: dict[str, str] = {}
    if tls:
        settings |= {"ca_file": "root.pem", "cert_file": "client.pem", "key_file": "client.key"}
    for key, file in settings.items():
        assert device.run(f"tedge-config set mqtt.client.auth.{key} {directory}/{file}").exit == 0
    if users:
        assert device.run(f"tedge-config set mqtt.client.auth.username {USER}").exit == 0
        assert device.run(f"tedge-config set mqtt.client.auth.password_file {directory}/password").exit == 0
