# SPDX-License-Identifier: Apache-2.0
"""``tedge cert needs-download``: decide whether the device has to be registered, the condition of its unit."""

import shlex
import time

from tedge_cert import cures, journal
from tedge_cert.device import registration_record as record
from tedge_cert.device.instance import Instance
from tedge_cert.durations import format_duration
from tedge_cert.errors import CertificateError, UnreadableError
from tedge_cert.hourly.validity import EXPIRED, read_validity

REGISTER, SKIP = 0, 1


def ask(instance: Instance) -> int:
    """Return 0 without a valid certificate, or if the device is registered and not connected yet; 1 otherwise."""
    path = instance.certificate
    try:
        validity = read_validity(str(path))
    except FileNotFoundError:
        journal.info(f"there is no certificate at {path}: registering")
        return REGISTER
    except (OSError, ValueError) as error:
        # A broken file may be an administrator's: do not replace it. The renewer's unit fails and says so.
        journal.warning(f"not registering: {path} is there and cannot be read ({error})")
        return SKIP
    now_s = time.time()
    left = format_duration(abs(validity.left_s(now_s)), 2)
    if validity.state(now_s, 0) == EXPIRED:
        journal.info(f"{path} expired {left} ago: registering again")
        return REGISTER
    fault = validity.clock_fault(now_s)
    found = f"the clock is wrong: {fault}" if fault else f"{path} is valid for {left}"
    if record.is_unfinished(instance):
        journal.info(f"{found}, and the device is not connected yet")
        return REGISTER
    journal.info(f"nothing to register: {found}")
    return SKIP


def is_certified(instance: Instance) -> bool:
    """Return whether there is a certificate that has not expired; raises CertificateError for one that is not readable.

    A broken file may be an administrator's, and another one would replace it.
    """
    path = instance.certificate
    try:
        return read_validity(str(path)).state(time.time(), 0) != EXPIRED
    except FileNotFoundError:
        return False
    except ValueError as error:
        file = shlex.quote(str(path))
        raise CertificateError(
            f"not registering: {path} is there and cannot be read ({error}); mend it, or "
            f"`sudo mv {file} {file}.broken` makes room for another"
        ) from error
    except OSError as error:
        raise UnreadableError(f"cannot look at the certificate {path}: {error.strerror}{cures.mend(error)}") from error
