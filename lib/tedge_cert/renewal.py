# SPDX-License-Identifier: Apache-2.0
"""Step 2: obtain a candidate; the active certificate is not touched."""

import time
from pathlib import Path

from cryptography import x509

from tedge_cert import certificate, checks, cloud, est, files, journal, keys
from tedge_cert.certificate import Certificate, rfc2822
from tedge_cert.checks import UnfitCertificateError
from tedge_cert.errors import CertificateError, ClockError, RequestRefusedError
from tedge_cert.instance import CLOUDS, Instance
from tedge_cert.lock import locked
from tedge_cert.switch import Switch
from tedge_cert.validity import VALID, format_duration
from tedge_cert.verification import check_candidate


def renew(instance: Instance, csr: Path | None, by_unit: bool) -> Certificate | None:
    """Obtain a new certificate as candidate; the active one is not touched.

    None when there was nothing to ask for: a switch is unfinished or, with ``by_unit``, a candidate still fits or
    the certificate is not due any more. Raises TedgeCertError.
    """
    if instance.cloud in ("az", "aws"):
        raise CertificateError(f"renewal of a certificate is not supported for {CLOUDS[instance.cloud]}, only for c8y")
    with locked(instance.certificate, instance.run_directory):
        switch = Switch.of(instance)
        switch.settle()
        if switch.is_unfinished:
            journal.info(
                f"nothing asked for: the switch to the present certificate is unfinished ({switch.previous} exists); "
                "`tedge cert verify c8y` finishes it"
            )
            return None
        current = certificate.load(instance.certificate)
        if by_unit and _is_served(instance, current):
            return None
        new = _obtain(instance, current, csr)
    if by_unit:
        until = rfc2822(new.validity.not_after_s)
        journal.info(f"new certificate {instance.candidate}: serial {new.leaf.serial_number:x}, valid until {until}")
    return new


def _is_served(instance: Instance, current: Certificate) -> bool:
    """Whether nothing has to be asked for, looked at again under the lock."""
    now_s = time.time()
    if current.validity.state(now_s, instance.minimum_s) == VALID:
        left = format_duration(current.validity.left_s(now_s), 2)
        journal.info(f"nothing asked for: {instance.certificate} is valid for {left}, somebody else was quicker")
        return True
    if not (instance.candidate.is_symlink() or instance.candidate.exists()):
        return False
    try:
        check_candidate(instance, current, checks.read_candidate(instance.candidate))
    except UnfitCertificateError as error:
        journal.info(f"the candidate {instance.candidate} does not fit and is replaced: {error}")
        return False
    journal.info(f"nothing asked for: the candidate {instance.candidate} still fits and is used")
    return True


def _obtain(instance: Instance, current: Certificate, csr: Path | None) -> Certificate:
    checks.check_presentable(current, instance.certificate)
    key = keys.load_for(instance.key, current, instance.certificate)
    if csr is not None:
        request = keys.load_request(csr, key)
    else:
        request = keys.renewal_request(key, current)
        files.write(instance.csr, keys.pem_of_request(request), files.CERTIFICATE)
    certificates = _request(instance, request)
    try:
        new = checks.pick(certificates, keys.public_key(key))
        checks.check(new, keys.public_key(key), instance.device_id, current)
    except (UnfitCertificateError, ClockError) as error:
        kind = ClockError if isinstance(error, ClockError) else RequestRefusedError
        raise kind(
            f"the answer of {instance.http} is not used: {error}; nothing was written, {instance.certificate} stays"
        ) from error
    files.write(instance.candidate, new.pem, files.CERTIFICATE)
    return new


def _request(instance: Instance, request: bytes) -> list[x509.Certificate]:
    """Ask with a token; one that is refused is replaced once (a token may have been revoked meanwhile).

    The second comes by MQTT, in case that the service does not take the other kind.
    """
    for last in (False, True):
        token = cloud.request_token(instance, by_mqtt=last)
        try:
            return est.reenrol(instance.http, token, request, instance.trust)
        except RequestRefusedError as error:
            if error.status != 401 or last:
                raise
            journal.info(f"{error}; asking again with a new token")
    raise AssertionError
