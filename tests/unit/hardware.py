# SPDX-License-Identifier: Apache-2.0
"""Keys in hardware: a software TPM (swtpm) and a software token (SoftHSM), used by OpenSSL's real providers."""

import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tedge_cert import processes
from tedge_cert.config import token_uri
from tedge_cert.x509 import provider
from unit.connected import connect, serial_of
from unit.local_device import LocalDevice
from unit.local_device import end as end_server

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
_TOKEN = """\
openssl_conf = openssl
[openssl]
providers = providers
[providers]
default = on
pkcs11 = pkcs11
[on]
activate = 1
[pkcs11]
pkcs11-module-path = {module}
pkcs11-module-token-pin = file:{pin}
pkcs11-module-cache-keys = false
pkcs11-module-quirks = no-deinit
activate = 1
"""


@contextmanager
def software_tpm(directory: Path) -> Iterator[str]:
    """Run a TPM; yield how one process at a time reaches it."""
    state, end = directory / "tpm", directory / "tpm.sock"
    state.mkdir()
    server = subprocess.Popen(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "not-need-init,startup-clear",
         "--server", f"type=unixio,path={end}", "--ctrl", f"type=unixio,path={end}.ctrl"],
    )  # fmt: skip
    try:
        _await(end)
        yield f"swtpm:path={end}"
    finally:
        end_server(server)


def tell_tpm(reached_by: str, command: int, handle: int, parameters: bytes = b"") -> None:
    """Send a command with an empty password (TPM 2.0 Library, part 3); for what OpenSSL's provider cannot do."""
    password = struct.pack(">IIHBH", 9, 0x40000009, 0, 1, 0)
    content = struct.pack(">I", handle) + password + parameters
    with socket.socket(socket.AF_UNIX) as tpm:
        tpm.connect(reached_by.removeprefix("swtpm:path="))
        tpm.sendall(struct.pack(">HII", 0x8002, 10 + len(content), command) + content)
        assert struct.unpack(">I", tpm.recv(4096)[6:10]) == (0,)


def has_token_provider() -> bool:
    """Whether OpenSSL has the provider for keys in a token."""
    done = subprocess.run(["openssl", "list", "-providers", "-provider", "pkcs11"], capture_output=True, check=False)
    return done.returncode == 0


_BUS = """\
<busconfig>
  <type>system</type><listen>unix:path={end}</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def shared_tpm(directory: Path) -> Iterator[dict[str, str]]:
    """Run a TPM that several processes use at a time, as the kernel's /dev/tpmrm0; yield the environment of these."""
    end = directory / "bus.sock"
    (directory / "bus.conf").write_text(_BUS.format(end=end))
    variables = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={end}"}
    with software_tpm(directory) as reached_by, ExitStack() as running:
        for words in (
            ["dbus-daemon", f"--config-file={directory}/bus.conf", "--nofork"],
            ["tpm2-abrmd", "--allow-root", f"--tcti={reached_by}"],
        ):
            process = subprocess.Popen(words, env={**os.environ, **variables})
            running.callback(end_server, process)
            _await(end)
        # It takes its name on the bus when it is ready.
        ask = ["dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus"]
        ask += ["org.freedesktop.DBus.GetNameOwner", "string:com.intel.tss2.Tabrmd"]
        until = time.monotonic() + 30
        while subprocess.run(ask, env={**os.environ, **variables}, capture_output=True, check=False).returncode:
            assert time.monotonic() < until, "tpm2-abrmd has not started"
            time.sleep(0.05)
        yield variables


def _await(end: Path) -> None:
    until = time.monotonic() + 30
    while True:
        # The file is there before anything listens.
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(end))
            return
        assert time.monotonic() < until, f"nothing listens at {end}"
        time.sleep(0.01)


def openssl(words: str, variables: dict[str, str]) -> bytes:
    """Run openssl with the variables of a provider."""
    environment = {**os.environ, **variables}
    return subprocess.run(["openssl", *words.split()], env=environment, check=True, capture_output=True).stdout


def tpm_variables(directory: Path, reached_by: str) -> dict[str, str]:
    """The environment with which OpenSSL uses the TPM."""
    is_first_version = processes.run(["openssl", "version"]).stdout.startswith("OpenSSL 3.0.")
    (directory / "tpm.cnf").write_text(provider.configuration_text(is_first_version, True, ""))
    return {"OPENSSL_CONF": f"{directory}/tpm.cnf", "TPM2OPENSSL_TCTI": reached_by, "TSS2_LOG": "all+none"}


def make_tpm_key(path: Path, variables: dict[str, str], algorithm: str) -> None:
    """Make a key in the TPM; the file is of use there only."""
    kind = {"EC": "EC -pkeyopt group:P-256", "P384": "EC -pkeyopt group:P-384", "RSA": "RSA -pkeyopt bits:2048"}
    openssl(f"genpkey -propquery ?provider=tpm2 -algorithm {kind[algorithm]} -out {path}", variables)


def bare_token(directory: Path, pin: str = "4711", label: str = "gateway") -> dict[str, str]:
    """Make a token without keys, beside those that are there; return the environment in which it is reached."""
    tokens, configuration = directory / "tokens", directory / "softhsm2.conf"
    tokens.mkdir(exist_ok=True)
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    variables = {"SOFTHSM2_CONF": str(configuration)}
    first = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "1234"]
    subprocess.run(first, env={**os.environ, **variables}, check=True, capture_output=True)
    return variables


def software_token(directory: Path, pin: str = "4711", kinds: tuple[str, ...] = ("EC", "RSA")) -> dict[str, str]:
    """Make a token with a key of each kind, which is its label too; return the environment that uses it."""
    (directory / "pin").write_text(pin + "\n")
    (directory / "token.cnf").write_text(_TOKEN.format(module=MODULE, pin=directory / "pin"))
    variables = {
        **bare_token(directory, pin), "OPENSSL_CONF": f"{directory}/token.cnf", "CRYPTOKI_MODULE": MODULE,
        "CRYPTOKI_PIN_FILE": f"{directory}/pin",
    }  # fmt: skip
    made = {**os.environ, **variables}
    for number, label in enumerate(kinds, 1):
        kind = {"EC": "EC:prime256v1", "RSA": "rsa:2048"}[label]
        words = ["pkcs11-tool", "--module", MODULE, "--token-label", "gateway", "--login", "--pin", pin]
        words += ["--keypairgen", "--key-type", kind, "--label", label, "--id", f"0{number}"]
        subprocess.run(words, env=made, check=True, capture_output=True)
    return variables


def counted_logins(directory: Path) -> dict[str, str]:
    """Return the environment in which the library of the token writes down each call."""
    # Its name says that it is SoftHSM.
    spy = directory / "softhsm-spy.so"
    spy.symlink_to(next(Path("/usr/lib").glob("*/pkcs11-spy.so")))
    cnf = directory / "token.cnf"
    if cnf.exists():
        cnf.write_text(cnf.read_text().replace(MODULE, str(spy)))
    return {"CRYPTOKI_MODULE": str(spy), "PKCS11SPY": MODULE, "PKCS11SPY_OUTPUT": f"{directory}/calls"}


def logins(directory: Path) -> int:
    """Count how often a PIN was tried."""
    calls = directory / "calls"
    return calls.read_text(errors="replace").count(": C_Login\n") if calls.exists() else 0


def token_key(path: Path, uri: str) -> None:
    """Write the file that names a key of a token."""
    path.write_bytes(token_uri.pem_of(uri))


def set_up_token(device: LocalDevice, directory: Path, monkeypatch: pytest.MonkeyPatch, pin: str) -> None:
    """Give a device a token without keys, and the settings for it; the PIN is in the file ``pin``."""
    (directory / "token").mkdir()
    for name, value in bare_token(directory / "token", pin).items():
        monkeypatch.setenv(name, value)
    (directory / "pin").write_text(pin + "\n")
    for words in (
        f"device.cryptoki.module_path {MODULE}",
        f"device.cryptoki.pin_path {directory}/pin",
        "device.cryptoki.mode module",
    ):
        assert device.run(f"tedge-config set {words}").exit == 0


def use_provider(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that systemd gives to mosquitto, and remember refused PINs beside the device."""
    monkeypatch.setattr(provider, "_directory", str(device.directory))
    for line in (device.directory / "openssl.env").read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))


def private_keys(label: str = "gateway", pin: str = "471100") -> list[tuple[str, str]]:
    """Return label and id of the private keys in a token, in the environment of this process."""
    words = ["pkcs11-tool", "--module", MODULE, "--token-label", label, "--login", "--pin", pin, "--list-objects"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    blocks = [each for each in re.split(r"^(?=\w)", said, flags=re.MULTILINE) if each.startswith("Private")]
    parts = [dict(re.findall(r"^  (label|ID): +(.*)", each, re.MULTILINE)) for each in blocks]
    # Since OpenSC 0.27: ``258 (0x01:02)``, or ``01:02:03:04:05``.
    return sorted((each.get("label", ""), re.sub(r".*\(0x|[:)]", "", each["ID"])) for each in parts)


def register_and_renew(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> int:
    """Register, connect and renew the certificate of a device that has its key; return the broker's process."""
    registered = device.register()
    assert registered.exit == 0, registered.stderr
    use_provider(device, monkeypatch)
    connect(device)
    # The token comes over TLS with this key, and so does the proof.
    renewed = device.run("tedge-cert-renew c8y")
    assert renewed.exit == 0, renewed.stderr
    first = serial_of(device.certificate)
    broker = device.broker_pid
    verified = device.run("tedge-cert-verify c8y")
    assert verified.exit == 0, verified.stderr
    assert serial_of(device.certificate) != first
    return broker
