# SPDX-License-Identifier: Apache-2.0
"""TODO."""

import time


def rfc2822(seconds: int) -> str:
    """A time in the form of RFC 2822, UTC."""
    return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(seconds))


def iso_utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# A certificate that begins a little ahead of the device's clock is no reason to doubt either of them.
CLOCK_TOLERANCE_S = 300
