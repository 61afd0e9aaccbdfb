# SPDX-License-Identifier: Apache-2.0
"""``tedge cert download``: register the device, that is, get its first certificate for a one-time password."""

import argparse
import os
import secrets
import string
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography import x509

from tedge_cert import cures, journal, terminal
from tedge_cert.authority import answer_checks, cumulocity, est_server, waiting_request
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.bridge import conf_files
from tedge_cert.cli.arguments import Parser, checked
from tedge_cert.commands import fresh_start
from tedge_cert.config.values import split_endpoint
from tedge_cert.deadline import Deadline
from tedge_cert.device import profiles, token_key
from tedge_cert.device import registration_record as record
from tedge_cert.device.connection_settings import est_of, files_of, mosquitto_of, server_of, tenant_of
from tedge_cert.device.connections import EstAuthority
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance, checked_device_id, device_id_for
from tedge_cert.disk import files, owners
from tedge_cert.disk.files import CallerFile
from tedge_cert.durations import duration_s, format_duration
from tedge_cert.errors import (
    CertificateError,
    ClockError,
    ConfigurationError,
    NoAnswerError,
    RequestRefusedError,
    TedgeCertError,
    WaitsForApprovalError,
)
from tedge_cert.net.https import WrongServerError
from tedge_cert.steps import outcome
from tedge_cert.steps.switch import Switch
from tedge_cert.tenant import rest
from tedge_cert.terminal import Progress, waiting
from tedge_cert.times import CLOCK_TOLERANCE_S
from tedge_cert.x509 import clock, keys, requests
from tedge_cert.x509.certificate import Certificate

# Cumulocity takes one-time passwords of 8 to 32 characters.
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 32
EST = "est"
_FALSE = ("", "0", "f", "false", "n", "no", "off")


@dataclass(frozen=True)
class Registration:
    """A device id, its one-time password and the tenant; the password is printed only if it was ``generated`` here.

    ``est`` is the operator's own authority where that one is asked; ``host`` is its host then.
    """

    device_id: str
    password: str
    generated: bool
    host: str
    est: EstAuthority | None = None

    @property
    def command(self) -> str:
        """The command that registers the device there."""
        return cures.register(self.device_id, *(["--ca", EST] if self.est else []))

    @property
    def next_password(self) -> str:
        """What a person does before another attempt, once the password was used; other words follow."""
        if self.est is None:
            return "the one-time password is spent: get a new one"
        return f"a one-time password may be spent: see the authority {self.host}"

    def address(self) -> str:
        """Return the page where an operator registers the device, with what is known filled in."""
        return (
            f"https://{self.host}/apps/devicemanagement/index.html#/deviceregistration"
            f"?externalId={quote(self.device_id, safe='')}&one-time-password={quote(self.password, safe='')}"
        )


def new_password() -> str:
    """Generate a one-time password that the operator gives to the tenant."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(LONGEST_PASSWORD))


def checked_host(text: str) -> str:
    """Return ``host`` or ``host:port`` as the tenant's address, without port 443; raises ConfigurationError."""
    try:
        host, port = split_endpoint(text, 443)
    except ValueError as error:
        raise ConfigurationError(f"'{text}' is no host: {error}") from error
    return host if port == 443 else f"{host}:{port}"


def check_clock(instance: Instance, host: str, est: EstAuthority | None = None) -> None:
    """Raise ClockError if the clock is wrong: the answer to the one-time password would not be valid yet.

    The request that asks for the tenant's time carries no secret. Without an answer the registration goes on: it
    reaches the same host, so it either fails too, before the password is used, or finds the tenant back.
    """
    clock.check_clock_of_device(time.time())
    with waiting(f"Comparing the clock with that of {host}"):
        if est is None:
            theirs_s = rest.time_of(server_of(instance.config, host))
        else:
            theirs_s = rest.time_of(est.enrolment, est_server.request_of_ca_certificates(est.enrolment))
    behind_s = 0 if theirs_s is None else int(theirs_s - time.time())
    if behind_s > CLOCK_TOLERANCE_S:
        raise ClockError(
            f"the clock is wrong: it is {format_duration(behind_s, 2)} behind that of {host}; nothing was sent, and "
            f"the one-time password is still good: {cures.clock()}, then try again"
        )


def download(
    instance: Instance, registration: Registration, csr: CallerFile | None, retry_every_s: int, max_timeout_s: int
) -> Certificate:
    """Ask for the first certificate until the tenant knows the device; raises TedgeCertError.

    Previous and candidate of an earlier registration are removed before the new certificate is written.
    """
    with custody(instance):
        key = _key(instance)
        request = _request(instance, registration, key, csr)
        received = _ask_until(instance, registration, request, retry_every_s, max_timeout_s)
        new = _keep(instance, registration, keys.public_key(key), received)
    if instance.bridge_file.exists():
        # The next renewal is far away, and until then an alarm about the previous certificate would stand.
        outcome.tell_fleet(instance)
    return new


def download_once(instance: Instance, registration: Registration) -> Certificate:
    """Ask for the first certificate once; raises RequestRefusedError, NoAnswerError or another TedgeCertError."""
    with custody(instance):
        check_clock(instance, registration.host, registration.est)
        key = _key(instance)
        received = _ask(instance, registration, _request(instance, registration, key, None))
        return _keep(instance, registration, keys.public_key(key), received)


def _key(instance: Instance) -> keys.PrivateKey:
    """Return the key of the device, made if there is none; a switch that was interrupted gives its key back first."""
    Switch.of(instance).settle_keys()
    token_key.settle(instance, registers=True)
    return keys.load_or_create(instance.key)


def _request(instance: Instance, registration: Registration, key: keys.PrivateKey, csr: CallerFile | None) -> bytes:
    if csr is not None:
        return requests.load_request(csr, key)
    organization = instance.config.need("certificate.organization")
    unit = instance.config.need("certificate.organization_unit")
    challenge = registration.password if registration.est and registration.est.uses_challenge else ""
    request = waiting_request.same(
        instance.waiting_file, requests.first_request(key, registration.device_id, organization, unit, challenge)
    )
    if not challenge:
        # All users may read that file.
        files.write(instance.csr, requests.pem_of(request), owners.CERTIFICATE)
    return request


def _ask_until(
    instance: Instance, registration: Registration, request: bytes, retry_every_s: int, max_timeout_s: int
) -> list[x509.Certificate]:
    """Ask until the tenant knows the device. Waiting is no failure, so it is one line; WrongServerError ends it."""
    deadline, until = Deadline(max_timeout_s), time.strftime("%H:%M", time.localtime(time.time() + max_timeout_s))
    with Progress(f"Asking {registration.host} for the certificate of {registration.device_id}") as progress:
        while True:
            last: TedgeCertError
            pause_s = retry_every_s
            try:
                return _ask(instance, registration, request)
            except WrongServerError:
                raise
            except WaitsForApprovalError as error:
                state, last, pause_s = str(error), error, max(retry_every_s, error.retry_after_s or 0)
            except RequestRefusedError as error:
                if registration.est is not None and error.status < 500 and error.status != 429:
                    # Nobody registers the device there meanwhile, and a wrong password may lock it.
                    raise
                unknown = error.status in (401, 403, 404)
                state, last = ("not registered yet" if unknown else str(error)), error
            except NoAnswerError as error:
                state, last = str(error), error
            if deadline.left_s() < pause_s:
                raise _given_up(registration, max_timeout_s, last) from last
            progress.show(f"{state}; asking again in {pause_s} s (until {until})", state)
            time.sleep(pause_s)
            # Without an answer before, the clock was not compared; now the password may be used.
            check_clock(instance, registration.host, registration.est)


def _given_up(registration: Registration, max_timeout_s: int, last: TedgeCertError) -> TedgeCertError:
    place, then = f"the authority {registration.host}", f"{registration.command} goes on"
    if registration.est is None:
        same = "the same one-time password" if registration.generated else "the one-time password it is registered with"
        place, then = registration.host, f"register the device there, then {then} with {same}"
    return TedgeCertError(
        f"no certificate for {registration.device_id} from {place} within {max_timeout_s} s: {last}; {then}"
    )


def _ask(instance: Instance, registration: Registration, request: bytes) -> list[x509.Certificate]:
    if registration.est is not None:
        try:
            received = est_server.enrol(registration.est, registration.password, request)
        except WaitsForApprovalError:
            waiting_request.keep(instance.waiting_file, request)
            raise
        waiting_request.end(instance.waiting_file)
        return received
    server = server_of(instance.config, registration.host)
    return cumulocity.enrol(server, registration.device_id, registration.password, request)


def _keep(
    instance: Instance, registration: Registration, public_key: bytes, received: list[x509.Certificate]
) -> Certificate:
    """Write the device's certificate from the answer; one that is not valid yet is written too, then ClockError.

    The one-time password is spent, so the device cannot get another certificate with it.
    """
    early = None
    try:
        new = answer_checks.pick(received, public_key)
        try:
            answer_checks.check(new, public_key, registration.device_id)
        except ClockError as error:
            early = error
        if registration.est is not None:
            new = est_server.with_chain(registration.est, new, None)
    except UnfitCertificateError as error:
        raise CertificateError(
            f"the answer of {registration.host} is not used: {error}; nothing was written, and "
            f"{registration.next_password}, then {registration.command}"
        ) from error
    try:
        fresh_start.end(instance)
        files.write(instance.certificate, new.pem, owners.CERTIFICATE)
    except TedgeCertError as error:
        raise TedgeCertError(
            f"{error}, then {registration.command}, as {registration.next_password}"
            if registration.est
            else f"{error}, then get a new one-time password, as this one is spent, and {registration.command}"
        ) from error
    if early is not None:
        raise ClockError(
            f"the certificate is kept as {instance.certificate}, but {early}, then {next_step(instance)}"
        ) from early
    return new


def add_to(parser: Parser) -> None:
    parser.environment |= {
        "DEVICE_ID": "as --device-id",
        "DEVICE_ONE_TIME_PASSWORD": "as --one-time-password",
        "DEVICE_NO_REGISTRATION_URL": "as --no-registration-url, unless false",
    }
    parser.add_argument(
        "--device-id",
        default=os.environ.get("DEVICE_ID", ""),
        metavar="ID",
        help="the device id (default: $DEVICE_ID)",
    )
    # Do not make the password a default: help would print it.
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
    parser.add_argument(
        "--ca", choices=("c8y", EST), default="c8y", help="who signs: the tenant, or est.url (default: c8y)"
    )
    parser.add_argument("--url", type=_host, metavar="HOST[:PORT]", help="the tenant (default: c8y.http)")
    for option, default, told in (
        ("--retry-every", 30, "between two attempts (default: 30s)"),
        ("--max-timeout", 600, "when to give up (default: 10m)"),
    ):
        parser.add_argument(option, type=checked(duration_s), default=default, metavar="DURATION", help=told)


def registration_of(arguments: argparse.Namespace, instance: Instance) -> Registration:
    """Return the registration that the arguments ask for; ask for a missing device id, generate a missing password."""
    own = arguments.ca == EST
    if own and arguments.url:
        raise ConfigurationError("--url names the tenant; the authority that --ca est asks is est.url: leave out one")
    # Named in the error about a missing address, before anything is asked.
    host = (
        instance.config.need("c8y.est.url") if own else checked_host(arguments.url or instance.config.need("c8y.http"))
    )
    password = arguments.one_time_password or os.environ.pop("DEVICE_ONE_TIME_PASSWORD", "")
    if arguments.prompt and password:
        raise ConfigurationError(
            "--prompt contradicts a one-time password given by --one-time-password or DEVICE_ONE_TIME_PASSWORD: "
            "leave one of them out"
        )
    known = device_id_for(instance.config, "c8y.device.id", arguments.device_id or None)
    identity = known or checked_device_id(_typed_id(instance))
    if arguments.prompt:
        password = terminal.ask("Enter one-time password: ", secret=True).strip()
    if own:
        return _at_authority(est_of(instance.config, identity), identity, password)
    given = bool(password)
    password = password or record.kept_password(instance, identity, host) or new_password()
    return Registration(identity, password, not given, host)


def _at_authority(est: EstAuthority, identity: str, password: str) -> Registration:
    """Return a registration with the operator's own authority: by a password, a factory certificate, or both."""
    if not password and est.factory is None:
        if not sys.stdin.isatty():
            raise ConfigurationError(
                f"no one-time password of the authority {est.enrolment.host}, and no factory certificate at "
                "est.bootstrap.cert_path: give the password by DEVICE_ONE_TIME_PASSWORD or --prompt"
            )
        password = terminal.ask(f"Enter one-time password of {est.enrolment.host}: ", secret=True).strip()
    return Registration(identity, password, generated=False, host=est.enrolment.host, est=est)


def keep_password(instance: Instance, registration: Registration) -> None:
    """Keep a generated password until it is used: an operator may take longer than this command waits."""
    if registration.generated:
        record.keep_password(instance, registration.device_id, registration.host, registration.password)


def check_own_certificate(instance: Instance) -> None:
    """Ask, or refuse without a terminal, before the certificate that another profile uses is replaced."""
    shared = [each for each in profiles.others(instance) if each.certificate == instance.certificate]
    if not instance.profile or not shared or not os.path.lexists(instance.certificate):
        return
    used = f"profile {instance.profile} has no certificate of its own: {instance.certificate} is that of"
    used = f"{used} `{shared[0].words}`"
    if terminal.agrees(f"{used}. Replace it for both?"):
        return
    own = instance.certificate.with_name(f"{instance.certificate.stem}-{instance.profile}{instance.certificate.suffix}")
    raise ConfigurationError(
        f"{used}, and would be replaced; `sudo tedge config set c8y.device.cert_path {own} --profile "
        f"{instance.profile}` gives it one, or `sudo tedge cert download {shared[0].words}` replaces that of both"
    )


def announce(registration: Registration, without_address: bool) -> None:
    """Print what the operator gives to the tenant; password and address only if the password was generated here."""
    if not registration.generated:
        journal.say(f"Registering {registration.device_id} with {registration.host}")
        return
    lines = [f"Register the device on {split_endpoint(registration.host, 443)[0]}:", ""]
    lines.append(f"    device id:         {registration.device_id}")
    lines.append(f"    one-time password: {registration.password}")
    if not without_address:
        lines += ["", "    This address registers it:", "", f"    {registration.address()}"]
        code = terminal.qr_code(registration.address())
        if code:
            lines += ["", code.rstrip("\n")]
    journal.say("\n".join([*lines, "", "Waiting for the tenant to know the device", ""]))


def told(instance: Instance, registration: Registration) -> str:
    """Return what a person reads when the certificate is there."""
    lines = [next_step(instance)]
    if registration.est is not None:
        lines.append(
            f"`sudo systemctl edit {instance.service}` with the lines [Service] and Environment=RENEW_WITH_CA=est "
            "lets the timer renew it at the same authority"
        )
    return "\n".join(["The device has its certificate.", *(f"    => {each}" for each in lines), "\n"])


def next_step(instance: Instance) -> str:
    """Return what to do with a first certificate, or with that of a device that is registered again."""
    if not instance.bridge_file.exists():
        return f"{cures.command('connect')} connects it"
    try:
        is_current = conf_files.is_current(files_of(instance), mosquitto_of(instance, tenant_of(instance)))
    except ConfigurationError as error:
        journal.debug(f"the bridge is not compared: {error}")
        is_current = False
    if is_current:
        return "the bridge uses it when it connects again, within half a minute"
    # Such as another device id.
    return f"{cures.command('reconnect')} connects it with its new settings"


def _typed_id(instance: Instance) -> str:
    """Ask for the device id; the one that the device had before its certificate was removed is offered."""
    last = record.last_device_id(instance)
    if not sys.stdin.isatty():
        again = f" (it was {last}: {cures.register(last)})" if last else ""
        raise ConfigurationError(f"no device id: give one with --device-id or DEVICE_ID, or set device.id{again}")
    return terminal.ask(f"Enter device id [{last}]: " if last else "Enter device id: ").strip() or last


def _host(text: str) -> str:
    try:
        return checked_host(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
