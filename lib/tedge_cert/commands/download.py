# SPDX-License-Identifier: Apache-2.0
"""Registration: the first certificate of a device, for a one-time password."""

import argparse
import getpass
import os
import secrets
import string
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tedge_cert import journal, terminal
from tedge_cert.authority import answer_checks, est_wire
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.cli.arguments import Parser
from tedge_cert.commands import fresh_start, unjudged
from tedge_cert.config.values import split_endpoint
from tedge_cert.deadline import Deadline
from tedge_cert.device.connection_settings import https_of
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance, checked_device_id, device_id
from tedge_cert.disk import files, owners, privileges
from tedge_cert.durations import duration_s
from tedge_cert.errors import (
    CertificateError,
    ClockError,
    ConfigurationError,
    NoAnswerError,
    RequestRefusedError,
    TedgeCertError,
)
from tedge_cert.steps import outcome
from tedge_cert.terminal import waiting
from tedge_cert.x509 import clock, keys, requests
from tedge_cert.x509.certificate import Certificate

# Cumulocity takes one-time passwords of 8 to 32 characters.
PASSWORD_CHARACTERS = 32


@dataclass(frozen=True)
class Registration:
    """Who registers where; the password is never printed unless it was made here."""

    device_id: str
    password: str
    generated: bool
    host: str

    def address(self) -> str:
        """Where an operator registers the device, with what is known filled in."""
        password = quote(self.password, safe="") if self.generated else ""
        return (
            f"https://{self.host}/apps/devicemanagement/index.html#/deviceregistration"
            f"?externalId={quote(self.device_id, safe='')}&one-time-password={password}"
        )


def new_password() -> str:
    """A one-time password for the operator to give to the tenant."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(PASSWORD_CHARACTERS))


def checked_host(text: str) -> str:
    """``host`` or ``host:port`` as the tenant's address, without the port that everybody knows."""
    try:
        host, port = split_endpoint(text, 443)
    except ValueError as error:
        raise ConfigurationError(f"'{text}' is no host: {error}") from error
    return host if port == 443 else f"{host}:{port}"


@dataclass(frozen=True)
class _Received:
    """What came: the certificate, and why the clock cannot judge it (empty if it can)."""

    certificate: Certificate
    doubt: str


def kept(instance: Instance, registration: Registration) -> Certificate | None:
    """The certificate of an earlier call, which the clock could not judge then; None if there is none to go on with.

    Raises UnjudgedError while it still cannot.
    """
    with custody(instance):
        return unjudged.waiting(
            instance, registration.device_id, "" if registration.generated else registration.password
        )


def download(
    instance: Instance, registration: Registration, csr: Path | None, retry_every_s: int, max_timeout_s: int
) -> Certificate:
    """Ask for the first certificate until the tenant knows the device; raises TedgeCertError.

    What belongs to a former life of the device (previous, candidate) goes before the new certificate comes. One that
    the clock cannot judge is written too, with UnjudgedError.
    """
    with custody(instance):
        # A one-time password is spent by an answer that this clock could not judge.
        clock.check_clock_of_device(time.time())
        key = keys.load_or_create(instance.key)
        request = _request(instance, registration, key, csr)
        with waiting(f"Asking {registration.host} for the certificate of {registration.device_id}"):
            received = _ask_until(instance, registration, request, keys.public_key(key), retry_every_s, max_timeout_s)
        _keep(instance, registration, received)
    if instance.bridge_file.exists():
        # No renewal is due for long, and an alarm about the certificate before this one would stand all the while.
        outcome.tell_fleet(instance)
    return _judged(instance, received)


def download_once(instance: Instance, registration: Registration) -> Certificate:
    """Likewise, but ask no more than once; raises RequestRefusedError, NoAnswerError or another TedgeCertError."""
    with custody(instance):
        clock.check_clock_of_device(time.time())
        key = keys.load_or_create(instance.key)
        request = _request(instance, registration, key, None)
        received = _ask(instance, registration, request, keys.public_key(key))
        _keep(instance, registration, received)
    return _judged(instance, received)


def _keep(instance: Instance, registration: Registration, received: _Received) -> None:
    try:
        fresh_start.end(instance)
        if received.doubt:
            # Before the certificate: of another one it says nothing.
            unjudged.mark(instance, received.certificate, registration.password)
        files.write(instance.certificate, received.certificate.pem, owners.CERTIFICATE)
    except TedgeCertError as error:
        raise TedgeCertError(f"{error}, then register the device anew: its one-time password is spent") from error


def _judged(instance: Instance, received: _Received) -> Certificate:
    if received.doubt:
        raise unjudged.told(instance, received.doubt)
    return received.certificate


def _request(instance: Instance, registration: Registration, key: keys.PrivateKey, csr: Path | None) -> bytes:
    if csr is not None:
        with privileges.regained():
            return requests.load_request(csr, key)
    organization = instance.config.need("certificate.organization")
    unit = instance.config.need("certificate.organization_unit")
    request = requests.first_request(key, registration.device_id, organization, unit)
    files.write(instance.csr, requests.pem_of_request(request), owners.CERTIFICATE)
    return request


def _ask_until(
    instance: Instance,
    registration: Registration,
    request: bytes,
    public_key: bytes,
    retry_every_s: int,
    max_timeout_s: int,
) -> _Received:
    deadline = Deadline(max_timeout_s)
    while True:
        try:
            return _ask(instance, registration, request, public_key)
        except RequestRefusedError as error:
            hint = "not registered yet, or another one-time password" if error.status in (401, 403, 404) else "refused"
            journal.error(f"{registration.device_id}: {hint}: {error}")
        except NoAnswerError as error:
            journal.error(str(error))
        if deadline.left_s() < retry_every_s:
            raise TedgeCertError(
                f"no certificate for {registration.device_id} from {registration.host} within {max_timeout_s} s: "
                "register the device there with the same device id and one-time password, then try again"
            )
        journal.warning(f"asking again in {retry_every_s} s")
        time.sleep(retry_every_s)


def _ask(instance: Instance, registration: Registration, request: bytes, public_key: bytes) -> _Received:
    host = registration.host
    web = https_of(instance.config, host)
    received = est_wire.enrol(host, registration.device_id, registration.password, request, web.trust, web.proxy)
    try:
        new = answer_checks.pick(received, public_key)
        return _Received(new, unjudged.doubt(instance, host, new, public_key, registration.device_id))
    except (UnfitCertificateError, ClockError) as error:
        kind = ClockError if isinstance(error, ClockError) else CertificateError
        raise kind(
            f"the answer of {registration.host} is not used: {error}; nothing was written, and the one-time password "
            "is spent: register the device anew"
        ) from error


_FALSE = ("", "0", "f", "false", "n", "no", "off")


def add_to(parser: Parser) -> None:
    """Add the options of ``tedge cert download``."""
    parser.environment |= {
        "DEVICE_ID": "as --device-id",
        "DEVICE_ONE_TIME_PASSWORD": "as --one-time-password",
        "DEVICE_NO_REGISTRATION_URL": "as --no-registration-url, unless false",
    }
    parser.add_argument(
        "--device-id",
        default=os.environ.get("DEVICE_ID", ""),
        metavar="ID",
        help="its name (default: $DEVICE_ID)",
    )
    # The password itself is no default here: help would print it.
    parser.add_argument(
        "-p",
        "--one-time-password",
        metavar="PASSWORD",
        help="as registered with the tenant; better given by $DEVICE_ONE_TIME_PASSWORD or at the prompt, because "
        "everybody on the device can read a command line",
    )
    parser.add_argument("--prompt", action="store_true", help="ask for the one-time password")
    parser.add_argument(
        "--no-registration-url",
        action="store_true",
        default=os.environ.get("DEVICE_NO_REGISTRATION_URL", "").lower() not in _FALSE,
        help="do not show where to register the device",
    )
    parser.add_argument("--csr-path", type=Path, metavar="FILE", help="a signing request made by others")
    parser.add_argument("--url", type=_host, metavar="HOST[:PORT]", help="the tenant (default: c8y.http)")
    for option, default, told in (
        ("--retry-every", 30, "between two attempts (default: 30s)"),
        ("--max-timeout", 600, "when to give up (default: 10m)"),
    ):
        parser.add_argument(option, type=_duration, default=default, metavar="DURATION", help=told)
    parser.add_argument(
        "--systemd",
        action="store_true",
        help="take all of it from the credentials of the unit, and ask once (tedge-first-boot(7))",
    )


def registration_of(arguments: argparse.Namespace, instance: Instance) -> Registration:
    """Who registers where; what was not said is asked for, or made."""
    host = checked_host(arguments.url or instance.config.need("c8y.http"))
    password = arguments.one_time_password or os.environ.pop("DEVICE_ONE_TIME_PASSWORD", "")
    if arguments.prompt and password:
        raise ConfigurationError(
            "--prompt contradicts a one-time password given by --one-time-password or DEVICE_ONE_TIME_PASSWORD: "
            "leave one of them out"
        )
    identity = arguments.device_id or device_id(instance.config, "c8y.device.id") or _prompt("Enter device id: ")
    identity = checked_device_id(identity)
    if arguments.prompt:
        password = getpass.getpass("Enter one-time password: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    return Registration(identity, password or new_password(), not password, host)


def announce(registration: Registration, without_address: bool) -> None:
    """Tell the operator what to give to the tenant; a password is shown only if it was made here."""
    lines = [f"Register the device on {split_endpoint(registration.host, 443)[0]}:", ""]
    lines.append(f"    device id:         {registration.device_id}")
    if registration.generated:
        lines.append(f"    one-time password: {registration.password}")
    if not without_address:
        lines += ["", "    This address registers it:", "", f"    {registration.address()}"]
        code = terminal.terminal_text(registration.address())
        if code:
            lines += ["", code.rstrip("\n")]
    journal.say("\n".join([*lines, "", "Waiting for the tenant to know the device", ""]))


def next_step(instance: Instance) -> str:
    """What is to be done with the first certificate, or with that of a device that is registered again."""
    if instance.bridge_file.exists():
        return (
            "the bridge takes it when it connects anew, within half a minute; a device with another id than before "
            f"needs `tedge disconnect {instance.words}` and `tedge connect {instance.words}`"
        )
    return f"`tedge connect {instance.words}` connects it"


def _prompt(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigurationError("no device id: give one with --device-id or DEVICE_ID, or set device.id")
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _host(text: str) -> str:
    try:
        return checked_host(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _duration(text: str) -> int:
    try:
        return duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}': {error}") from error
