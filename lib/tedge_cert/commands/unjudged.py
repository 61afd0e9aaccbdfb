# SPDX-License-Identifier: Apache-2.0
"""A first certificate that came while the clock was wrong: it is in its place, and only the clock has to be set.

Its one-time password is spent, so nothing else would bring the device another one.
"""

import time

from tedge_cert import journal
from tedge_cert.authority import answer_checks
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.device import registration_record as record
from tedge_cert.device.connection_settings import https_of
from tedge_cert.device.instance import Instance
from tedge_cert.errors import CertificateError, ClockError, TedgeCertError, UnjudgedError
from tedge_cert.hourly.validity import EXPIRED, NOT_VALID_YET
from tedge_cert.net import https
from tedge_cert.x509 import certificate, keys
from tedge_cert.x509.certificate import Certificate


def doubt(instance: Instance, host: str, new: Certificate, public_key: bytes, device_id: str) -> str:
    """Why the clock cannot judge the certificate that ``host`` has just issued; empty if it can, and finds it good.

    Raises UnfitCertificateError or ClockError for one that is not to be kept.
    """
    try:
        answer_checks.check(new, public_key, device_id)
    except (UnfitCertificateError, ClockError) as error:
        if _is_good_for(instance, host, new, public_key, device_id):
            if isinstance(error, ClockError):
                return str(error)
            return f"the clock is wrong: by it, {error}, by that of {host} it is valid; set it (timedatectl status)"
        # Nobody takes it yet, as far as is known: it is no worse than none.
        if isinstance(error, ClockError) and not _is_served(instance, public_key):
            return str(error)
        raise
    return ""


def mark(instance: Instance, new: Certificate, password: str) -> None:
    """Say that this certificate waits for the clock; without that the same command would ask for another one."""
    try:
        record.keep_unjudged(instance, record.Unjudged(_digest(new), record.digest(password)))
    except (OSError, TedgeCertError) as error:
        journal.warning(f"{error}; once the clock is right, the certificate is used all the same")


def waiting(instance: Instance, device_id: str, password: str) -> Certificate | None:
    """The certificate that came while the clock was wrong, now that this finds it good; None if there is none.

    ``password`` is the one given for another certificate, empty if there is none. Raises UnjudgedError while the clock
    is still wrong.
    """
    kept = record.unjudged(instance)
    try:
        found = certificate.load(instance.certificate)
        public_key = keys.public_key(keys.load_for(instance.key, found, instance.certificate))
        if kept.certificate != _digest(found) or (password and record.digest(password) != kept.password):
            return None
        answer_checks.check(found, public_key, device_id)
    except ClockError as error:
        raise told(instance, str(error)) from error
    except CertificateError:
        return None
    record.end_unjudged(instance)
    journal.info(f"nothing asked for: {instance.certificate}, which came while the clock was wrong, is valid now")
    return found


def told(instance: Instance, reason: str) -> UnjudgedError:
    """What is said of it as long as the clock is wrong."""
    return UnjudgedError(
        f"the certificate has come and is kept as {instance.certificate}, but {reason}; then the same command goes on, "
        "and no new one-time password is needed"
    )


def _digest(found: Certificate) -> str:
    return record.digest(found.pem.decode())


def _is_good_for(instance: Instance, host: str, new: Certificate, public_key: bytes, device_id: str) -> bool:
    """Whether the certificate is good by the clock of the tenant, if that is known."""
    web = https_of(instance.config, host)
    theirs_s = https.time_of(host, web.trust, web.proxy)
    if theirs_s is None:
        return False
    try:
        answer_checks.check(new, public_key, device_id, now_s=theirs_s)
    except (UnfitCertificateError, ClockError):
        return False
    return True


def _is_served(instance: Instance, public_key: bytes) -> bool:
    """Whether there is a certificate already with which the device may connect."""
    try:
        present = certificate.load(instance.certificate)
    except CertificateError:
        return False
    return present.public_key == public_key and present.validity.state(time.time(), 0) not in (EXPIRED, NOT_VALID_YET)
