# SPDX-License-Identifier: Apache-2.0
"""Whether the clock of the device is kept right by something: asked of the kernel, as timedatectl(1) does."""

import ctypes

# Above this estimate of its own error the kernel takes the clock for unsynchronised (systemd's ntp_synced()).
_LIMIT_US = 16_000_000


class _Timex(ctypes.Structure):
    """The head of struct timex (adjtimex(2)), with room for the rest of it on every architecture."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


def is_synchronised() -> bool | None:
    """Whether it is; None where the kernel does not say (some containers)."""
    facts = _Timex()
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None or adjtimex(ctypes.byref(facts)) < 0:
        return None
    return int(facts.maxerror) < _LIMIT_US
