# SPDX-License-Identifier: Apache-2.0
"""Put devices into every state that a renewal meets, without the commands under test."""

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from pytest_mock import MockerFixture

from tedge_cert.bridge import conf_files, health, mapper, mosquitto_conf
from tedge_cert.device import connection_settings
from tedge_cert.device.connections import LocalBroker, Tenant
from tedge_cert.device.instance import Instance, load_instance
from tedge_cert.device.mosquitto import Mosquitto, MosquittoFiles
from tedge_cert.errors import TedgeCertError
from tedge_cert.steps import confirmation
from tedge_cert.tenant import device_token, own_connection, proof, smartrest, token
from tenant import client
from tenant.ports import free_port
from unit.certificates import DAY_S, key_pem, name_of, new_key
from unit.local_client import Local
from unit.local_device import LocalDevice

REAL_TIME = time.time


def instance_of(device: LocalDevice) -> Instance:
    """What the commands work on."""
    return load_instance("c8y", "", str(device.directory))


def tenant_of(device: LocalDevice) -> Tenant:
    """The tenant as its settings say now."""
    return connection_settings.tenant_of(instance_of(device))


def broker_of(device: LocalDevice) -> LocalBroker:
    """The local broker as its settings say now."""
    return connection_settings.broker_of(instance_of(device))


def mosquitto_of(device: LocalDevice) -> Mosquitto:
    """What mosquitto's files have to say."""
    return connection_settings.mosquitto_of(instance_of(device), tenant_of(device))


def files_of(device: LocalDevice) -> MosquittoFiles:
    """Where they are."""
    return connection_settings.files_of(instance_of(device))


def key_file(device: LocalDevice) -> Path:
    """The private key."""
    return device.directory / "certs" / "key.pem"


@contextmanager
def second_tenant(device: LocalDevice, directory: Path) -> Iterator[client.Tenant]:
    """Another tenant that trusts the same authority; profile ``p`` of the device has it, with the same certificate."""
    shutil.copytree(device.tenant.server_ca.parent, directory)
    with client.Tenant.start(directory) as tenant:
        file = device.directory / "tedge.toml"
        file.write_text(
            file.read_text() + f'[c8y.profiles.p]\nurl = "127.0.0.1"\nhttp = "127.0.0.1:{tenant.http_port}"\n'
            f'mqtt = "127.0.0.1:{tenant.mqtt_port}"\nroot_cert_path = "{tenant.server_ca}"\n'
            'bridge.topic_prefix = "p"\n'
        )
        yield tenant


def configure(device: LocalDevice, old: str, new: str) -> None:
    """Change a line of the configuration."""
    file = device.directory / "tedge.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def signing_request(device: LocalDevice, name: str | x509.Name = "", names: tuple[str, ...] = ()) -> str:
    """A CSR made with the device's key, which is made too if there is none."""
    file = key_file(device)
    if not file.exists():
        file.write_bytes(key_pem(new_key()))
        file.chmod(0o640)
    key = load_pem_private_key(file.read_bytes(), None)
    subject = name if isinstance(name, x509.Name) else name_of(name or device.device_id)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()  # type: ignore[arg-type]


def issue(device: LocalDevice, path: Path | None = None, days: float = 90, **options: Any) -> str:
    """A certificate of the tenant at `path` (the candidate's, without one); its serial."""
    request = signing_request(device, options.pop("name", ""), options.pop("names", ()))
    pem = device.tenant.issue(request, lifetime_s=round(days * DAY_S), **options)
    (path or device.candidate).write_text(pem)
    return serial_of(path or device.candidate) or ""


def certify(device: LocalDevice, days: float = 10, **options: Any) -> str:
    """The first certificate of a device; its serial."""
    return issue(device, device.certificate, days, **options)


def serial_of(path: Path) -> str | None:
    """The serial of the first certificate in a file; None without a file."""
    if not path.exists():
        return None
    return str(x509.load_pem_x509_certificate(path.read_bytes()).serial_number)


def serials(device: LocalDevice) -> tuple[str | None, str | None, str | None]:
    """Return the serials of certificate, candidate and previous; fail if there are temporary files."""
    known = {"key.pem", "device.csr", "cert.pem", "cert.pem.new", "cert.pem.previous"}
    assert {each.name for each in device.certificate.parent.iterdir()} <= known
    certificate, candidate, previous = (serial_of(p) for p in (device.certificate, device.candidate, device.previous))
    return certificate, candidate, previous


def rejected(device: LocalDevice) -> str | None:
    """Return the digest that verify left for cleanup."""
    record = instance_of(device).rejection_file
    return record.read_text() if record.exists() else None


def digest(path: Path) -> str:
    """Return the digest that such a record has for a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def configure_bridge(device: LocalDevice, longest_pause_s: int = 30) -> None:
    """Write mosquitto's files as `tedge connect` does."""
    wanted, of = mosquitto_of(device), files_of(device)
    text = mosquitto_conf.bridge_text(wanted)
    assert "restart_timeout 1 30\n" in text
    conf_files.listener_placement(of).put(mosquitto_conf.listener_text(wanted.listener))
    pauses = f"restart_timeout 1 {longest_pause_s}"
    conf_files.bridge_placement(of).put(text.replace("restart_timeout 1 30", pauses))


def connect(device: LocalDevice) -> None:
    """Configure the bridge as `tedge connect` does, but with pauses of two seconds at most; wait until it is up."""
    configure_bridge(device, longest_pause_s=2)
    device.start_broker()
    with Local(device) as local:
        local.wait_health("1")


def cut_bridge(device: LocalDevice) -> None:
    """Let the tenant refuse the bridge, but not its certificate, and no other client."""
    with Local(device) as local:
        local.wait_health("1")
        device.tenant.fault(where="mqtt", do="connack", code=3, serials=[serial_of(device.certificate)])
        device.tenant.drop(device.device_id)
        local.wait_health("0")


def connect_with(device: LocalDevice, trouble: str) -> None:
    """Connect with "no bridge" (not at all), "no broker" or "bridge down"; without trouble for any other word."""
    if trouble != "no bridge":
        connect(device)
    if trouble == "no broker":
        device.stop_broker()
    if trouble == "bridge down":
        cut_bridge(device)


def misdirect(device: LocalDevice) -> None:
    """A broker whose bridge cannot reach the tenant, which is up."""
    device.stop_broker()
    file = instance_of(device).bridge_file
    mqtt = f"127.0.0.1:{device.tenant.mqtt_port}"
    file.write_text(file.read_text().replace(f"address {mqtt}", f"address 127.0.0.1:{free_port()}"))
    device.start_broker()


def hurry(mocker: MockerFixture, **more: float) -> None:
    """Shorten waits; the names are those of the constants, each of a module that reads it when it waits."""
    waits = {"BRIDGE_WAIT_S": 8.0, "SETTLE_S": 4.0, "PAUSE_S": 0.1, "PUBACK_S": 4.0, "TOKEN_WAIT_S": 4.0, **more}
    modules = (confirmation, proof, own_connection, health, mapper, smartrest, token, device_token)
    for name, seconds in waits.items():
        having = [each for each in modules if name in vars(each)]
        assert having, f"no module has {name}"
        for module in having:
            mocker.patch.object(module, name, seconds)


def behind(mocker: MockerFixture, by_s: float) -> None:
    """Set the clock of this process back; the tenant keeps the right time."""
    mocker.patch.object(time, "time", side_effect=lambda: REAL_TIME() - by_s)


def outcome(action: Callable[[], object]) -> tuple[int, str]:
    """The exit code that a command would have, and its last line; only foreseen errors count."""
    try:
        action()
    except TedgeCertError as error:
        return error.exit_code, str(error)
    return 0, ""


def after(mocker: MockerFixture, owner: Any, name: str, event: Callable[[], object], times: int = 1) -> None:
    """Call something right after each of the first calls of a function."""
    real, left = getattr(owner, name), iter(range(times))

    def called(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        if next(left, None) is not None:
            event()
        return result

    mocker.patch.object(owner, name, called)


def before(mocker: MockerFixture, owner: Any, name: str, event: Callable[[], object], times: int = 1) -> None:
    """Call something right before each of the first calls of a function."""
    real, left = getattr(owner, name), iter(range(times))

    def called(*arguments: Any, **options: Any) -> Any:
        if next(left, None) is not None:
            event()
        return real(*arguments, **options)

    mocker.patch.object(owner, name, called)


def freeze(device: LocalDevice) -> None:
    """Stop the broker's process (SIGSTOP)."""
    os.kill(device.broker_pid, signal.SIGSTOP)


def thaw(device: LocalDevice) -> None:
    """Let the broker's process continue."""
    os.kill(device.broker_pid, signal.SIGCONT)
