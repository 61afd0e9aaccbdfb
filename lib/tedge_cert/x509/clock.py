# SPDX-License-Identifier: Apache-2.0
"""Check that the clock can be right before a certificate is judged by it."""

import time
from pathlib import Path

from tedge_cert import cures
from tedge_cert.durations import format_duration
from tedge_cert.errors import ClockError, ExpiredError
from tedge_cert.hourly.validity import EXPIRED, impossible
from tedge_cert.x509.certificate import Certificate


def check_presentable(current: Certificate, path: Path) -> None:
    """Check that the active certificate is within its validity; raises ExpiredError or ClockError."""
    check_clock(current, path)
    if current.validity.state(time.time(), 0) == EXPIRED:
        raise ExpiredError(
            f"{path} expired {format_duration(int(time.time() - current.validity.not_after_s), 2)} ago, so no server "
            f"accepts it any more; {cures.once_expired(cures.register_again(current.validity.device_id))}"
        )


def check_clock(current: Certificate, path: Path) -> None:
    """Check the clock against the active certificate and the age of this package; raises ClockError."""
    if fault := current.validity.clock_fault(time.time()):
        raise ClockError(f"the clock is wrong: {fault}; {cures.clock()}, until then {path} is not judged")


def check_clock_of_device(now_s: float) -> None:
    """Check the clock against the age of this package only; raises ClockError."""
    if fault := impossible(now_s):
        raise ClockError(f"the clock is wrong: {fault}; {cures.clock()}, until then no certificate is judged")
