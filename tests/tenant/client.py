# SPDX-License-Identifier: Apache-2.0
"""Starts a tenant and steers it, from a test."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import requests

from forks.client import Fork, Server

_TESTS = Path(__file__).resolve().parent.parent
_STOP_S = 60


@cache
def _server(python: str) -> Server:
    """Start a process that has imported the tenant: that takes half a second."""
    return Server.start(python, ["tenant.__main__"], {**os.environ, "PYTHONPATH": str(_TESTS)})


class TenantError(Exception):
    """The tenant did not start, or refused what it was asked."""


class Tenant:
    """A running tenant; use it as a context manager, or call `stop`."""

    def __init__(self, process: Fork, ready: dict[str, Any]) -> None:
        self.process = process
        self.address: str = ready["address"]
        self.http_port: int = ready["http"]
        self.mqtt_port: int = ready["mqtt"]
        self.token_port: int = ready["token"]
        self.control_port: int = ready["control"]
        self.server_ca = Path(ready["server_ca"])
        self.device_ca = Path(ready["device_ca"])
        self._session = requests.Session()
        self._session.trust_env = False

    @classmethod
    def start(
        cls,
        directory: Path,
        host: Sequence[str] = (),
        listen: str = "127.0.0.1",
        *,
        http_port: int = 0,
        mqtt_port: int = 0,
        token_port: int = 0,
        control_port: int = 0,
        simple_chain: bool = False,
    ) -> Self:
        """Start a tenant that keeps its keys in `directory`, and wait until it listens."""
        # The tenant needs packages that an interpreter with the oldest supported ones does not have.
        python = os.environ.get("TENANT_PYTHON") or sys.executable
        command = [str(_TESTS / "tenant/__main__.py"), "--directory", str(directory), "--listen", listen]
        ports = {"http": http_port, "mqtt": mqtt_port, "token": token_port, "control": control_port}
        command += [f"--{name}-port={port}" for name, port in ports.items()]
        command += [f"--host={name}" for name in host]
        command += ["--simple-chain"] * simple_chain
        environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
        read, write = os.pipe()
        process = _server(python).fork(command, environment, (0, write, 2))
        os.close(write)
        with open(read, encoding="utf-8") as output:  # noqa: PTH123 (a descriptor has no path)
            line = output.readline()
        if not line:
            raise TenantError(f"the tenant did not start: exit {process.wait()}")
        return cls(process, json.loads(line))

    def stop(self) -> None:
        """End it."""
        self._session.close()
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def call(self, method: str, path: str, body: Any = None, timeout_s: float = 30, **query: Any) -> dict[str, Any]:
        """Ask the control interface; raises `TenantError` with its answer unless it is 2xx."""
        url = f"http://127.0.0.1:{self.control_port}{path}"
        answer = self._session.request(method, url, json=body, params=query, timeout=timeout_s)
        if not answer.ok:
            raise TenantError(f"{method} {path}: {answer.status_code}: {answer.text}")
        content: dict[str, Any] = answer.json()
        return content

    def register(self, device: str, password: str) -> None:
        """Let a device enrol with this one-time password."""
        self.call("POST", "/register", {"device": device, "password": password})

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings (none: only look); returns all of them."""
        return self.call("PATCH", "/settings", changes)

    def fault(self, **fault: Any) -> None:
        """Add a fault to those in force."""
        self.call("POST", "/faults", fault)

    def clear_faults(self) -> None:
        """End all faults."""
        self.call("DELETE", "/faults")

    def state(self) -> dict[str, Any]:
        """Everything but the messages."""
        return self.call("GET", "/state")

    def device(self, device: str) -> dict[str, Any]:
        """One device."""
        return self.call("GET", f"/devices/{_quote(device)}")

    def wait(self, device: str, timeout_s: float = 30, **wanted: Any) -> dict[str, Any]:
        """Wait until the device is as wanted; raises `TenantError` with its state otherwise."""
        # The server ends the wait; the time-out of the client is only for a dead server.
        query = {
            "device": device,
            "timeout_s": timeout_s,
            **{k: v for k, v in wanted.items() if v is not None},
        }
        return self.call("GET", "/wait?" + urlencode(query), None, timeout_s + 30)

    def wait_connected(
        self,
        device: str,
        serial: str | None = None,
        not_serial: str | None = None,
        timeout_s: float = 30,
        connections: int | None = None,
    ) -> dict[str, Any]:
        """Wait until the device is connected with (or without) this certificate, the n-th time at least."""
        return self.wait(device, timeout_s, serial=serial, not_serial=not_serial, connections=connections)

    def wait_disconnected(self, device: str, timeout_s: float = 30) -> dict[str, Any]:
        """Wait until the device is not connected."""
        return self.wait(device, timeout_s, connected="false")

    def wait_messages(
        self, device: str, count: int = 1, topic: str | None = None, since: int = 0, timeout_s: float = 30
    ) -> list[dict[str, Any]]:
        """Wait for so many messages from an index on, and return them."""
        self.wait(device, timeout_s, messages=count, topic=topic, since=since)
        return self.messages(device, topic, since)

    def messages(self, device: str, topic: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """What the device has published."""
        query: dict[str, Any] = {"since": since} | ({"topic": topic} if topic is not None else {})
        found: list[dict[str, Any]] = self.call("GET", f"/devices/{_quote(device)}/messages", **query)["messages"]
        return found

    def clear_messages(self) -> None:
        """Forget all messages and the log of requests."""
        self.call("DELETE", "/state/messages")

    def keep(self, name: str) -> None:
        """Let the tenant keep its settings and what it knows, for `restore`."""
        self.call("PUT", f"/state/kept/{_quote(name)}")

    def restore(self, name: str) -> None:
        """Take the tenant back to what was kept under the name, without faults; open connections stay."""
        self.call("POST", f"/state/kept/{_quote(name)}")

    def publish(self, device: str, topic: str, payload: str, qos: int = 0) -> None:
        """Publish to a device, which must be subscribed."""
        self.call("POST", f"/devices/{_quote(device)}/publish", {"topic": topic, "payload": payload, "qos": qos})

    def revoke(self, serial: str) -> None:
        """Accept this certificate no more."""
        self.call("POST", "/revoke", {"serial": serial})

    def revoke_tokens(self) -> None:
        """Accept no token that was given so far."""
        self.call("POST", "/revoke-tokens")

    def drop(self, device: str) -> bool:
        """Close the device's connection; False if it had none."""
        return bool(self.call("DELETE", f"/devices/{_quote(device)}/connection")["dropped"])

    def issue(self, csr_pem: str, **options: Any) -> str:
        """Sign a CSR; returns the certificate in PEM."""
        return str(self.call("POST", "/issue", {"csr": csr_pem, **options})["certificate"])

    def issue_key(self, device: str, **options: Any) -> dict[str, Any]:
        """Make a key and a certificate: `certificate`, `key`, `chain` (PEM) and `serial`."""
        return self.call("POST", "/issue", {"device": device, **options})


def _quote(text: str) -> str:
    return quote(text, safe="")
