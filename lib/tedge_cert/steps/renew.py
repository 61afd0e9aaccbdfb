# SPDX-License-Identifier: Apache-2.0
"""Step 2: obtain a candidate; the active certificate is not touched."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography import x509

from tedge_cert import cures, journal, terminal
from tedge_cert.authority import answer_checks, cumulocity, est_server, self_signed, waiting_request
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.config.keys import CLOUDS
from tedge_cert.device import rotation, token_key
from tedge_cert.device.connection_settings import connected_broker, est_of, tenant_of
from tedge_cert.device.connections import KeyPair
from tedge_cert.device.instance import Instance, identity
from tedge_cert.disk import files, owners
from tedge_cert.disk.files import CallerFile
from tedge_cert.durations import format_duration
from tedge_cert.errors import (
    ClockError,
    ConfigurationError,
    RequestRefusedError,
    TedgeCertError,
    WaitsForApprovalError,
)
from tedge_cert.steps import due, outcome
from tedge_cert.steps.switch import Switch, refuse_directory
from tedge_cert.steps.verify import check_candidate
from tedge_cert.tenant import token
from tedge_cert.terminal import waiting
from tedge_cert.times import rfc2822
from tedge_cert.x509 import clock, keys, requests
from tedge_cert.x509.certificate import Certificate

EST, SELF_SIGNED = "est", "self-signed"


@dataclass(frozen=True)
class Wanted:
    """Whose certificate is wanted, and how: with this signing request, or with a new key."""

    authority: str
    csr: CallerFile | None = None
    new_key: bool = False
    by_unit: bool = False


@dataclass(frozen=True)
class Authority:
    """Who is asked for a certificate, with what proves the device, and what completes the certificate received."""

    host: str
    device_id: str
    ask: Callable[[bytes], list[x509.Certificate]]
    complete: Callable[[Certificate], Certificate]


def check_authority(instance: Instance, authority: str) -> None:
    """Raise ConfigurationError for a cloud whose authority cannot renew the certificate."""
    if authority == "c8y" and instance.cloud in ("az", "aws"):
        raise ConfigurationError(f"renewal is not supported for {CLOUDS[instance.cloud]}, only for c8y")


def reported(instance: Instance, by_unit: bool) -> AbstractContextManager[None]:
    """Record and send what goes wrong in the block, if the unit runs it.

    A person who renews by hand reads the result: it is not recorded, and does not hold back the unit.
    """
    return outcome.reported(outcome.RENEW, instance) if by_unit else nullcontext()


def is_switch_unfinished(instance: Instance) -> bool:
    """Return whether a switch is unfinished; if so, log how to finish it, because no other certificate is requested."""
    switch = Switch.of(instance)
    switch.settle()
    rotation.remove_spare(instance)
    if switch.is_unfinished:
        journal.info(
            f"nothing asked for: the switch to the present certificate is unfinished ({switch.previous} exists); "
            f"{cures.finish()} finishes it"
        )
    return switch.is_unfinished


def candidate_of(wanted: Wanted, instance: Instance, current: Certificate) -> Certificate:
    """Obtain a certificate and write it as the candidate, with its key if that is a new one; raises TedgeCertError."""
    # Before the tenant issues a certificate that could not be written.
    check_place(instance.candidate)
    if wanted.authority != SELF_SIGNED:
        return _obtain(instance, _authority(wanted.authority, instance, current), current, wanted)
    if wanted.csr is not None:
        journal.warning(f"{wanted.csr} is not used: a self-signed certificate takes key and subject of the current one")
    return _sign(instance, current, wanted)


def changes_key(instance: Instance, wanted: Wanted) -> bool:
    """Return whether the certificate is asked for with a new key; raises TedgeCertError if that is impossible.

    A request that waits for approval is sent again with its key, also when nothing wants a new key any more. A key in
    a token that the settings name since is a new one, too.
    """
    if wanted.csr is not None and wanted.authority != SELF_SIGNED:
        return False
    changes = wanted.new_key or instance.rotates_key or _waits_with_new_key(instance)
    changes = changes or token_key.chosen_key(instance) is not None
    if changes:
        rotation.check(instance)
    return changes


def _waits_with_new_key(instance: Instance) -> bool:
    if not (os.path.lexists(instance.candidate_key) and os.path.lexists(instance.waiting_file)):
        return False
    found = rotation.candidate_key(instance)
    return found is not None and waiting_request.public_key(instance.waiting_file) == found.public_key


def check_place(candidate: Path) -> None:
    """Raise TedgeCertError for a directory at the candidate's path, and for a file that could not be looked at.

    Any other file there is replaced.
    """
    refuse_directory(candidate)
    if os.path.lexists(candidate):
        with suppress(UnfitCertificateError):
            answer_checks.read_candidate(candidate)


def show(instance: Instance, new: Certificate, by_unit: bool) -> None:
    """Tell the journal of the unit, or a person, about the new candidate."""
    if by_unit:
        found = new.validity
        until = rfc2822(found.not_after_s)
        journal.info(f"new certificate {instance.candidate}: serial {found.serial}, valid until {until}")
        return
    steps = _next_steps(instance, new)
    terminal.tell(f"Certificate renewed successfully\n    For an un-interrupted service:\n{steps}\n")
    terminal.out(new.describe(instance.candidate, minimum_s=30 * 86_400))


def _next_steps(instance: Instance, new: Certificate) -> str:
    """Return what a person does to use the candidate, one line for each step."""
    reconnect = "    => the device has to be reconnected to the cloud\n"
    if not new.is_self_signed:
        return reconnect
    return (
        f"    => `tedge cert upload {instance.words_at_tenant}` makes the tenant trust the new certificate\n{reconnect}"
    )


def is_served(instance: Instance, current: Certificate) -> bool:
    """Return whether no request is needed: another run was quicker, or a candidate fits. Call it under the lock."""
    now_s = time.time()
    clock.check_clock(current, instance.certificate)
    if not due.is_due(instance, current.validity, now_s):
        left = format_duration(current.validity.left_s(now_s), 2)
        journal.info(f"nothing asked for: {instance.certificate} is valid for {left}, another run was quicker")
        return True
    if not Switch.of(instance).has_candidate:
        return False
    try:
        found = answer_checks.read_candidate(instance.candidate)
        check_candidate(instance, current, found, identity(instance), by_unit=True)
    except UnfitCertificateError as error:
        journal.info(f"the candidate {instance.candidate} does not fit and is replaced: {error}")
        return False
    journal.info(f"nothing asked for: the candidate {instance.candidate} still fits and is used")
    return True


def _authority(name: str, instance: Instance, current: Certificate) -> Authority:
    if name == EST:
        device_id = identity(instance)
        est = est_of(instance.config, device_id)

        def complete(new: Certificate) -> Certificate:
            est_server.tell_changes(new, current, est.renewal.host)
            return est_server.with_chain(est, new, current)

        shown = KeyPair(instance.certificate, instance.key)
        return Authority(est.renewal.host, device_id, partial(est_server.reenrol, est, shown), complete)
    tenant, broker = tenant_of(instance), connected_broker(instance)
    get_credential = partial(token.get_credential, tenant, broker)
    return Authority(
        tenant.host,
        tenant.device_id,
        lambda csr: cumulocity.reenrol(tenant, get_credential, csr, tenant.device_id),
        lambda new: new,
    )


def _obtain(instance: Instance, authority: Authority, current: Certificate, wanted: Wanted) -> Certificate:
    changes = changes_key(instance, wanted)
    clock.check_presentable(current, instance.certificate)
    present = keys.load_for(instance.key, current, instance.certificate)
    key = rotation.need(instance, present).key if changes else present
    if wanted.csr is not None:
        request = requests.load_request(wanted.csr, key)
    else:
        request = waiting_request.same(instance.waiting_file, requests.renewal_request(key, current))
        files.write(instance.csr, requests.pem_of(request), owners.CERTIFICATE)
    with waiting(f"Asking {authority.host} for a new certificate"):
        try:
            certificates = authority.ask(request)
        except WaitsForApprovalError:
            waiting_request.keep(instance.waiting_file, request)
            raise
        except RequestRefusedError as error:
            if error.status in est_server.FINAL:
                waiting_request.end(instance.waiting_file)
                if changes:
                    raise _with_new_key(error) from error
            raise
        waiting_request.end(instance.waiting_file)
    try:
        new = answer_checks.pick(certificates, keys.public_key(key))
        answer_checks.check(new, keys.public_key(key), authority.device_id, current, by_unit=wanted.by_unit)
        new = authority.complete(new)
    except UnfitCertificateError as error:
        raise RequestRefusedError(
            f"the answer of {authority.host} is not used: {error}; nothing was written, {instance.certificate} stays"
        ) from error
    except ClockError as error:
        # Otherwise a clock that is behind would have the device ask for another certificate each hour.
        new = authority.complete(new)
        _keep(instance, new, changes)
        raise ClockError(
            f"the answer of {authority.host} is kept as {instance.candidate} until it is valid: {error}"
        ) from error
    _keep(instance, new, changes)
    return new


def _with_new_key(error: RequestRefusedError) -> RequestRefusedError:
    """Add to a refusal that the request has a new key, which not every authority takes."""
    return RequestRefusedError(
        f"{error}; the request has a new key: an authority that takes none (RFC 7030 §4.2.2, re-key) renews without "
        "--new-key and with certificate.rotate_key false",
        error.status,
        error.retry_after_s,
    )


def _keep(instance: Instance, new: Certificate, changes: bool) -> None:
    """Write the candidate; a candidate key that it does not belong to is of no use any more."""
    files.write(instance.candidate, new.pem, owners.CERTIFICATE)
    if not (changes or instance.rotates_key) and files.remove(instance.candidate_key):
        journal.info(f"removed the candidate key {instance.candidate_key}: the candidate is for the present key")


def _sign(instance: Instance, current: Certificate, wanted: Wanted) -> Certificate:
    """Sign a candidate with the same key and subject by the device itself; the certificate may have expired.

    Where a new key is wanted, that key signs it.
    """
    if not current.is_self_signed:
        raise ConfigurationError(
            f"{instance.certificate} is not self-signed but issued by {current.issuer}, which its successor "
            "has to come from too: renew it with `--ca c8y` (in the unit: Environment=RENEW_WITH_CA=c8y)"
        )
    changes = changes_key(instance, wanted)
    clock.check_clock(current, instance.certificate)
    present = keys.load_for(instance.key, current, instance.certificate)
    key = rotation.need(instance, present).key if changes else present
    new = self_signed.successor(key, current, instance.config)
    try:
        answer_checks.check(new, keys.public_key(key), identity(instance), current)
    except UnfitCertificateError as error:
        raise TedgeCertError(f"a certificate made now is of no use: {error}; {instance.certificate} stays") from error
    _keep(instance, new, changes)
    return new
