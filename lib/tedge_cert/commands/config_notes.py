# SPDX-License-Identifier: Apache-2.0
"""Say what a changed setting means on this device: whether it fits, whether it acts, and what to type next.

It runs after the change, as user tedge: it reads certificates, and root reads no file of tedge's.
"""

from tedge_cert import journal
from tedge_cert.config import settings as configuration
from tedge_cert.config.settings import Config
from tedge_cert.device import profiles
from tedge_cert.device.instance import resolve, threshold_s
from tedge_cert.errors import TedgeCertError
from tedge_cert.hourly import schedule
from tedge_cert.hourly.validity import read_validity

MINIMUM = "certificate.validity.minimum_duration"


def say(directory: str, profile: str, key: str) -> None:
    """Write the notes on ``key``, which was changed; other settings that are broken are no matter here."""
    try:
        config = configuration.load(directory, profile)
        if key == MINIMUM:
            _judge_threshold(config)
    except TedgeCertError as error:
        journal.debug(f"nothing is said about {key}: {error}")


def _judge_threshold(config: Config) -> None:
    """Warn if the threshold does not fit the certificate of a profile, or the hourly check."""
    paths = {each.certificate for each in profiles.present(resolve(config, "c8y"))}
    lifetimes_s = {_lifetime_s(str(path)) for path in paths}
    for lifetime_s in sorted(lifetimes_s):
        minimum_s = threshold_s(config, lifetime_s)
        # Without a certificate, a percentage is a part of nothing.
        fault = schedule.threshold_fault(minimum_s, lifetime_s) if lifetime_s or minimum_s else ""
        if fault:
            better = schedule.better_threshold(lifetime_s)
            journal.warning(f"{fault}; {schedule.OFFLINE_RULE}, such as `sudo tedge config set {MINIMUM} {better}`")
            return


def _lifetime_s(path: str) -> int:
    """Return the lifetime of the certificate; 0 if there is none that can be read."""
    try:
        return read_validity(path).lifetime_s
    except (OSError, ValueError):
        return 0
