# SPDX-License-Identifier: Apache-2.0
"""Registration: the first certificate of a device, for a one-time password."""

import secrets
import string
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tedge_cert import journal
from tedge_cert.authority import answer_checks, est_wire
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.commands import fresh_start, unjudged
from tedge_cert.config.values import split_endpoint
from tedge_cert.deadline import Deadline
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, privileges
from tedge_cert.errors import (
    CertificateError,
    ClockError,
    ConfigurationError,
    NoAnswerError,
    RequestRefusedError,
    TedgeCertError,
)
from tedge_cert.net import proxy
from tedge_cert.progress import waiting
from tedge_cert.tenant import alarm
from tedge_cert.x509 import keys
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
        answer_checks.check_clock_of_device(time.time())
        key = keys.load_or_create(instance.key)
        request = _request(instance, registration, key, csr)
        with waiting(f"Asking {registration.host} for the certificate of {registration.device_id}"):
            received = _ask_until(instance, registration, request, keys.public_key(key), retry_every_s, max_timeout_s)
        _keep(instance, registration, received)
    if instance.bridge_file.exists():
        # No renewal is due for long, and an alarm about the certificate before this one would stand all the while.
        alarm.tell(instance)
    return _judged(instance, received)


def download_once(instance: Instance, registration: Registration) -> Certificate:
    """Likewise, but ask no more than once; raises RequestRefusedError, NoAnswerError or another TedgeCertError."""
    with custody(instance):
        answer_checks.check_clock_of_device(time.time())
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
        files.write(instance.certificate, received.certificate.pem, files.CERTIFICATE)
    except TedgeCertError as error:
        raise TedgeCertError(f"{error}, then register the device anew: its one-time password is spent") from error


def _judged(instance: Instance, received: _Received) -> Certificate:
    if received.doubt:
        raise unjudged.told(instance, received.doubt)
    return received.certificate


def _request(instance: Instance, registration: Registration, key: keys.PrivateKey, csr: Path | None) -> bytes:
    if csr is not None:
        with privileges.regained():
            return keys.load_request(csr, key)
    organization = instance.config.need("certificate.organization")
    unit = instance.config.need("certificate.organization_unit")
    request = keys.first_request(key, registration.device_id, organization, unit)
    files.write(instance.csr, keys.pem_of_request(request), files.CERTIFICATE)
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
    way = proxy.for_host(instance.config, host)
    received = est_wire.enrol(host, registration.device_id, registration.password, request, instance.trust, way)
    try:
        new = answer_checks.pick(received, public_key)
        return _Received(new, unjudged.doubt(instance, host, new, public_key, registration.device_id))
    except (UnfitCertificateError, ClockError) as error:
        kind = ClockError if isinstance(error, ClockError) else CertificateError
        raise kind(
            f"the answer of {registration.host} is not used: {error}; nothing was written, and the one-time password "
            "is spent: register the device anew"
        ) from error
