# SPDX-License-Identifier: Apache-2.0
"""Whether a device has to be registered, which the unit of the first boot asks before anything else."""

import time

from tedge_cert import journal
from tedge_cert.device import registration_record as record
from tedge_cert.device.instance import Instance
from tedge_cert.durations import format_duration
from tedge_cert.hourly.validity import EXPIRED, read_validity

REGISTER, SKIP = 0, 1


def ask(instance: Instance) -> int:
    """0: there is no certificate, it has expired, or the device is registered and not yet connected; else 1."""
    path = instance.certificate
    try:
        validity = read_validity(str(path))
    except FileNotFoundError:
        journal.info(f"there is no certificate at {path}: registering")
        return REGISTER
    except (OSError, ValueError) as error:
        # A file of somebody's that is broken is no reason to replace it; the renewer's unit fails and says so.
        journal.warning(f"not registering: {path} is there and cannot be read ({error})")
        return SKIP
    now_s = time.time()
    left = format_duration(abs(validity.left_s(now_s)), 2)
    if validity.state(now_s, 0) == EXPIRED:
        journal.info(f"{path} expired {left} ago: registering anew")
        return REGISTER
    fault = validity.clock_fault(now_s)
    found = f"the clock is wrong: {fault}" if fault else f"{path} is valid for {left}"
    if record.unfinished(instance) is not None:
        journal.info(f"{found}, and the device is not connected yet")
        return REGISTER
    journal.info(f"nothing to register: {found}")
    return SKIP


def is_certified(instance: Instance) -> bool:
    """Whether there is a certificate that has not expired."""
    try:
        return read_validity(str(instance.certificate)).state(time.time(), 0) != EXPIRED
    except (OSError, ValueError):
        return False
