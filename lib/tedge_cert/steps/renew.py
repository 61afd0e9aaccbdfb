# SPDX-License-Identifier: Apache-2.0
"""Step 2: obtain a candidate; the active certificate is not touched."""

import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from tedge_cert import journal
from tedge_cert.authority import answer_checks, cumulocity, self_signed
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.config.keys import CLOUDS
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners, privileges
from tedge_cert.durations import format_duration
from tedge_cert.errors import ClockError, ConfigurationError, RequestRefusedError, TedgeCertError
from tedge_cert.steps import due, outcome
from tedge_cert.steps.outcome import RENEW
from tedge_cert.steps.switch import Switch, refuse_directory
from tedge_cert.steps.verify import check_candidate
from tedge_cert.tenant import token
from tedge_cert.terminal import waiting
from tedge_cert.times import rfc2822
from tedge_cert.x509 import certificate, clock, keys, requests
from tedge_cert.x509.certificate import Certificate, name_text

SELF_SIGNED = "self-signed"


def renew(instance: Instance, csr: Path | None, by_unit: bool, ca: str = "c8y") -> Certificate | None:
    """Obtain a new certificate as candidate, from the tenant or signed by the device itself; the active one stays.

    None when there was nothing to ask for: a switch is unfinished or, with ``by_unit``, a candidate still fits or
    the certificate is not due any more. Raises TedgeCertError.
    """
    if ca == "c8y" and instance.cloud in ("az", "aws"):
        raise ConfigurationError(f"renewal is not supported for {CLOUDS[instance.cloud]}, only for c8y")
    if ca == SELF_SIGNED and csr is not None:
        journal.warning(f"{csr} is not used: a self-signed certificate takes key and subject of the current one")
    # A person who asks by hand reads the answer: what it is does not hold back the unit.
    told = outcome.reported(RENEW, instance) if by_unit else nullcontext()
    with custody(instance), told:
        switch = Switch.of(instance)
        switch.settle()
        if switch.is_unfinished:
            journal.info(
                f"nothing asked for: the switch to the present certificate is unfinished ({switch.previous} exists); "
                f"`tedge reconnect {instance.words}` finishes it"
            )
            return None
        current = certificate.load(instance.certificate)
        if by_unit and _is_served(instance, current):
            return None
        new = _sign(instance, current) if ca == SELF_SIGNED else _obtain(instance, current, csr)
    if by_unit:
        until = rfc2822(new.validity.not_after_s)
        journal.info(f"new certificate {instance.candidate}: serial {new.leaf.serial_number:x}, valid until {until}")
    return new


def next_steps(instance: Instance, new: Certificate) -> str:
    """What a person does to take the candidate into use, a line each."""
    reconnect = "    => the device has to be reconnected to the cloud\n"
    if not new.is_self_signed:
        return reconnect
    return (
        f"    => `tedge cert upload {instance.words_at_tenant}` makes the tenant trust the new certificate\n{reconnect}"
    )


def _is_served(instance: Instance, current: Certificate) -> bool:
    """Whether nothing has to be asked for, looked at again under the lock."""
    now_s = time.time()
    clock.check_clock(current, instance.certificate)
    if not due.is_due(instance, current.validity, now_s):
        left = format_duration(current.validity.left_s(now_s), 2)
        journal.info(f"nothing asked for: {instance.certificate} is valid for {left}, somebody else was quicker")
        return True
    if not Switch.of(instance).has_candidate:
        return False
    try:
        check_candidate(instance, current, answer_checks.read_candidate(instance.candidate))
    except UnfitCertificateError as error:
        journal.info(f"the candidate {instance.candidate} does not fit and is replaced: {error}")
        return False
    journal.info(f"nothing asked for: the candidate {instance.candidate} still fits and is used")
    return True


def _obtain(instance: Instance, current: Certificate, csr: Path | None) -> Certificate:
    # Before the tenant issues a certificate that could not be written.
    refuse_directory(instance.candidate)
    clock.check_presentable(current, instance.certificate)
    key = keys.load_for(instance.key, current, instance.certificate)
    if csr is not None:
        with privileges.regained():
            request = requests.load_request(csr, key)
    else:
        request = requests.renewal_request(key, current)
        files.write(instance.csr, requests.pem_of_request(request), owners.CERTIFICATE)
    with waiting(f"Asking {instance.http} for a new certificate"):
        certificates = cumulocity.reenrol(instance.server, partial(token.who_asks, instance), request)
    try:
        new = answer_checks.pick(certificates, keys.public_key(key))
        answer_checks.check(new, keys.public_key(key), instance.device_id, current)
    except UnfitCertificateError as error:
        raise RequestRefusedError(
            f"the answer of {instance.http} is not used: {error}; nothing was written, {instance.certificate} stays"
        ) from error
    except ClockError as error:
        # Otherwise a clock that is behind would have the device ask for another certificate each hour.
        files.write(instance.candidate, new.pem, owners.CERTIFICATE)
        raise ClockError(
            f"the answer of {instance.http} is kept as {instance.candidate} until it is valid: {error}"
        ) from error
    files.write(instance.candidate, new.pem, owners.CERTIFICATE)
    return new


def _sign(instance: Instance, current: Certificate) -> Certificate:
    """A candidate of the same key and subject, signed by the device itself; an expired certificate is no obstacle."""
    if not current.is_self_signed:
        raise ConfigurationError(
            f"{instance.certificate} is not self-signed but issued by {name_text(current.issuer)}, which its successor "
            "has to come from too: renew it with `--ca c8y` (in the unit: Environment=RENEW_WITH_CA=c8y)"
        )
    clock.check_clock(current, instance.certificate)
    key = keys.load_for(instance.key, current, instance.certificate)
    new = self_signed.successor(key, current, instance.config)
    try:
        answer_checks.check(new, keys.public_key(key), instance.device_id, current)
    except UnfitCertificateError as error:
        raise TedgeCertError(f"a certificate made now is of no use: {error}; nothing was written") from error
    files.write(instance.candidate, new.pem, owners.CERTIFICATE)
    return new
