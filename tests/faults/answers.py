# SPDX-License-Identifier: Apache-2.0
"""Rows of bad input: its setup, the commands that read it, their messages and exit codes."""

import hashlib
import os
import shutil
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from faults.middlebox import Middlebox
from tenant.client import Tenant
from unit.certificates import make
from unit.connected import certify, configure, connect, issue, key_file
from unit.est_authority import EstAuthority
from unit.local_device import LocalDevice

RENEW, VERIFY = "tedge-cert-renew c8y", "tedge-cert-verify c8y"
# Locks, what the broker says, and the request that is written before it is sent.
_VOLATILE = ("run", "mosquitto.log", "certs/device.csr", "state")


@dataclass
class Standing:
    """The device of the rows, and what it may meet.

    A listener that accepts connections and says nothing, a box that opens TLS, an authority of the operator's own.
    """

    device: LocalDevice
    silent: socket.socket
    middlebox: Middlebox
    authority: EstAuthority

    def restore(self, kept: Path) -> None:
        """Put back what a row changed."""
        self.authority.behave()
        for name in ("certs", "tedge.toml"):
            path = self.device.directory / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            (shutil.copytree if (kept / name).is_dir() else shutil.copy2)(kept / name, path)


def stand(tenant: Tenant, directory: Path) -> Standing:
    """A connected device whose certificate is due."""
    device = LocalDevice(directory / "device", tenant, "answers")
    certify(device, 10)
    connect(device)
    authority = EstAuthority(directory)
    authority.takes(tenant.device_ca)
    return Standing(device, socket.create_server(("127.0.0.1", 0)), Middlebox(), authority)


def whole_directory(directory: Path) -> dict[str, tuple[int, int, int, str]]:
    """Mode, owners and content of all that is in it."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if name.split("/", maxsplit=1)[0] in _VOLATILE or name in _VOLATILE:
            continue
        facts = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        content += os.fsencode(path.readlink()) if path.is_symlink() else b""
        found[name] = (facts.st_mode, facts.st_uid, facts.st_gid, hashlib.sha256(content).hexdigest())
    return found


@dataclass(frozen=True)
class Row:
    """One kind of bad input."""

    name: str
    arrange: Callable[[Standing], Any]
    commands: dict[str, int]
    words: str
    changes: bool = False
    evicts: bool = False
    marks: tuple[pytest.MarkDecorator, ...] = field(default=())

    def said(self, standing: Standing) -> str:
        """What is printed, with the names of this device."""
        return placed(self.words, standing)


def placed(text: str, standing: Standing) -> str:
    """The text with the names of this device in it."""
    device = standing.device
    places = {"TOML": device.directory / "tedge.toml", "CERT": device.certificate, "KEY": key_file(device)}
    more = {"HTTP": f"127.0.0.1:{device.tenant.http_port}", "MQTT": f"127.0.0.1:{device.tenant.mqtt_port}"}
    for name, value in {**places, **more, "RUN": device.directory / "run"}.items():
        text = text.replace(f"<{name}>", str(value))
    return text


def toml(text: str) -> Callable[[Standing], None]:
    """These lines at the end of the configuration."""

    def arrange(standing: Standing) -> None:
        with (standing.device.directory / "tedge.toml").open("a") as file:
            file.write(text)

    return arrange


def setting(old: str, new: str) -> Callable[[Standing], None]:
    """Another value in the configuration."""
    return lambda standing: configure(standing.device, old, new)


def certificate(content: bytes | None) -> Callable[[Standing], None]:
    """Put another file in the place of the certificate."""

    def arrange(standing: Standing) -> None:
        path = standing.device.certificate
        path.unlink()
        if content == b"directory":
            path.mkdir()
        elif content is not None:
            path.write_bytes(content)

    return arrange


def key(content: bytes | None) -> Callable[[Standing], None]:
    """Put another file in the place of the key."""

    def arrange(standing: Standing) -> None:
        path = key_file(standing.device)
        loaded = load_pem_private_key(path.read_bytes(), None)
        path.unlink()
        if content == b"encrypted":
            secret = BestAvailableEncryption(b"secret")
            path.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
        elif content is not None:
            path.write_bytes(content)

    return arrange


def port(to: Callable[[Standing], int]) -> Callable[[Standing], None]:
    """Another server in the place of the tenant's HTTPS endpoint."""

    def arrange(standing: Standing) -> None:
        there = f"127.0.0.1:{standing.device.tenant.http_port}"
        configure(standing.device, f'http = "{there}"', f'http = "127.0.0.1:{to(standing)}"')

    return arrange


def fault(where: str = "est", **spec: Any) -> Callable[[Standing], None]:
    """Add a fault to the tenant."""
    return lambda standing: standing.device.tenant.fault(where=where, **spec)


def mqtt_port(to: Callable[[Standing], int]) -> Callable[[Standing], None]:
    """A candidate, and another server in the place of the tenant's MQTT endpoint."""

    def arrange(standing: Standing) -> None:
        issue(standing.device)
        there = f"127.0.0.1:{standing.device.tenant.mqtt_port}"
        configure(standing.device, f'mqtt = "{there}"', f'mqtt = "127.0.0.1:{to(standing)}"')

    return arrange


def candidate(content: bytes | None = None, **options: Any) -> Callable[[Standing], None]:
    """Return a step that puts a candidate in place."""

    def arrange(standing: Standing) -> None:
        if content is None:
            issue(standing.device, **options)
        else:
            standing.device.candidate.write_bytes(content)

    return arrange


def status(code: int, words: str, *, evicts: bool = False, **headers: str) -> Row:
    """An answer of HTTP that is no certificate."""
    name = " ".join([f"HTTP {code}", *(f"with {each.replace('_', '-')} {value}" for each, value in headers.items())])
    sent = {each.replace("_", "-"): value for each, value in headers.items()}
    answer = fault(do="status", status=code, headers=sent, body="" if code == 204 else "why")
    return Row(name, answer, {RENEW: 1}, words, evicts=evicts)


def other_key(standing: Standing) -> None:
    key_file(standing.device).write_bytes(make().key_pem)
