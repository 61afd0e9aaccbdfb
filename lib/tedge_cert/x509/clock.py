# SPDX-License-Identifier: Apache-2.0
"""TODO."""

import time
from pathlib import Path

from tedge_cert.durations import format_duration
from tedge_cert.errors import ClockError, ExpiredError
from tedge_cert.hourly.validity import EXPIRED, impossible
from tedge_cert.x509.certificate import Certificate


def check_presentable(current: Certificate, path: Path) -> None:
    """Whether the active certificate can be shown to anybody; raises CertificateError or ClockError."""
    check_clock(current, path)
    if current.validity.state(time.time(), 0) == EXPIRED:
        raise ExpiredError(
            f"{path} expired {format_duration(int(time.time() - current.validity.not_after_s), 2)} ago, so nobody "
            "accepts it any more; register the device anew: `tedge cert download c8y` with a new one-time password"
        )


def check_clock(current: Certificate, path: Path) -> None:
    """Whether the clock can be right, beside the active certificate; raises ClockError."""
    if fault := current.validity.clock_fault(time.time()):
        raise ClockError(
            f"the clock is wrong: {fault}; set it (see `timedatectl status`), until then {path} is not judged"
        )


def check_clock_of_device(now_s: float) -> None:
    """Whether the clock can be right at all, before anything is judged by it; raises ClockError."""
    if fault := impossible(now_s):
        raise ClockError(
            f"the clock is wrong: {fault}; set it (see `timedatectl status`), until then no certificate is judged"
        )
