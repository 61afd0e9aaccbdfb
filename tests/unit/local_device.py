# SPDX-License-Identifier: Apache-2.0
"""A device in a directory: the executables of the checkout and a mosquitto as child processes, no systemd, no root."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tenant.client import Tenant
from tenant.ports import free_port
from unit import forked

ROOT = Path(__file__).resolve().parents[2]
MOSQUITTO = shutil.which("mosquitto", path=f"/usr/sbin:{os.environ['PATH']}")


def free_address() -> str:
    """An address of this machine whose port for client certificates is free: the product connects only to that."""
    while True:
        address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"  # noqa: S311
        with socket.socket() as probe:
            if probe.connect_ex((address, 8443)):
                return address


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    exit: int
    stdout: str
    stderr: str


def outer_environment() -> dict[str, str]:
    """Return the variables of the tests without settings, and without what a person's own Python reads."""
    ours = ("TEDGE_", "DEVICE_", "C8Y", "PYTHON")
    kept = ("PYTHONWARNINGS", "PYTHONPYCACHEPREFIX")
    return {name: value for name, value in os.environ.items() if name in kept or not name.startswith(ours)}


@dataclass
class LocalDevice:
    """The device; `directory` holds its configuration, certificates, locks and broker."""

    directory: Path
    tenant: Tenant
    device_id: str = "local-1"
    port: int = field(default_factory=free_port)
    # That of the tests.
    umask: int = -1
    _broker: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        for name in ("certs", "mosquitto-conf", "run/tedge-cert-renewer"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        certs = self.directory / "certs"
        address = f"[{self.tenant.address}]" if ":" in self.tenant.address else self.tenant.address
        (self.directory / "tedge.toml").write_text(
            f'[device]\nkey_path = "{certs}/key.pem"\ncert_path = "{certs}/cert.pem"\ncsr_path = "{certs}/device.csr"\n'
            f'[c8y]\nurl = "{address}"\nhttp = "{address}:{self.tenant.http_port}"\n'
            f'mqtt = "{address}:{self.tenant.mqtt_port}"\nroot_cert_path = "{self.tenant.server_ca}"\n'
            f"[mqtt.bind]\nport = {self.port}\n"
            f'[run]\npath = "{self.directory}/run"\n'
        )

    @property
    def certificate(self) -> Path:
        """The active certificate."""
        return self.directory / "certs" / "cert.pem"

    @property
    def candidate(self) -> Path:
        """The candidate."""
        return self.directory / "certs" / "cert.pem.new"

    @property
    def previous(self) -> Path:
        """The certificate just replaced."""
        return self.directory / "certs" / "cert.pem.previous"

    @property
    def broker_pid(self) -> int:
        """The process of the broker, which must be running."""
        assert self._broker is not None
        return self._broker.pid

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the commands: theirs, with the library of the checkout."""
        return {**outer_environment(), "TEDGE_CONFIG_DIR": str(self.directory), "PYTHONPATH": str(ROOT / "lib")}

    def command(self, words: str) -> list[str]:
        """The argument vector for ``tedge …``, run by the interpreter of the tests (except -S, which finds no venv)."""
        first, *rest = words.split()
        script = ROOT / "bin" / first
        return [sys.executable, str(script), *rest]

    def run(self, words: str, timeout_s: float = 200, **environment: str) -> Result:
        """Run an executable of ``bin/`` with its arguments."""
        result = forked.run(
            self.command(words), {**self.environment, **environment}, timeout_s=timeout_s, umask=self.umask
        )
        return Result(result.returncode, result.stdout, result.stderr)

    def register(self, password: str = "one-time-password") -> Result:
        """Register with the tenant and download the first certificate."""
        self.tenant.register(self.device_id, password)
        return self.run(f"tedge-cert-download c8y --device-id {self.device_id}", DEVICE_ONE_TIME_PASSWORD=password)

    def start_broker(self) -> None:
        """Start mosquitto with the configuration that ``tedge connect`` wrote, and wait until it listens."""
        assert MOSQUITTO, "mosquitto is not installed"
        main = self.directory / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        main.write_text(f"{user}include_dir {self.directory}/mosquitto-conf\n")
        with (self.directory / "mosquitto.log").open("ab") as log:
            self._broker = subprocess.Popen([MOSQUITTO, "-c", str(main)], stdout=log, stderr=log)
        await_port(self.port)
        assert self._broker.poll() is None, (self.directory / "mosquitto.log").read_text()

    def stop_broker(self) -> None:
        """Stop mosquitto."""
        if self._broker is not None:
            # One that a test has stopped would not hear that it shall end.
            self._broker.send_signal(signal.SIGCONT)
            end(self._broker, (self.directory / "mosquitto.log").read_text)
            self._broker = None

    def connect(self) -> Result:
        """Configure the bridge, start the broker, and wait until the tenant sees it."""
        result = self.run("tedge-connect c8y")
        self.start_broker()
        self.tenant.wait_connected(self.device_id)
        return result


def end(process: subprocess.Popen[bytes], last_words: Callable[[], str] = str) -> None:
    """End a server; mosquitto and swtpm forget a signal that comes after they listen and before their loop waits."""
    for _ in range(20):
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
            return
    raise TimeoutError(last_words())


def await_port(port: int) -> None:
    """Wait until a program listens on this port of the machine; raises OSError."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            # There is nothing to wait on before it listens.
            time.sleep(0.05)
        else:
            return
