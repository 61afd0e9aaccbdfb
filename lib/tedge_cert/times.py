# SPDX-License-Identifier: Apache-2.0
"""Write times, which are seconds since the epoch, as text: in UTC, save on the screen of the status."""

import time


def rfc2822(seconds: int) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(seconds))


def iso_utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def local(seconds: int) -> str:
    """Return a time as a screen shows it: ``2026-11-27 04:23:10 +0100``, in the time zone of the reader."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


def minute_utc(seconds: float) -> str:
    """Return a time as a person reads it in a sentence: ``2026-11-27 03:23 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


# A certificate may begin a little ahead of the device's clock: that does not make either of them wrong.
CLOCK_TOLERANCE_S = 300
