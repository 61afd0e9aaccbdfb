# SPDX-License-Identifier: Apache-2.0
"""What ``tedge config list`` prints: keys with their values, or with what they are for."""

from tedge_cert.config import settings as configuration
from tedge_cert.config.keys import CLOUDS
from tedge_cert.config.keys.table import KEYS, listed
from tedge_cert.config.settings import Config, cloud_of
from tedge_cert.config.values import to_text
from tedge_cert.device.instance import value_of
from tedge_cert.errors import ConfigurationError


def listing(config: Config, wanted: str, with_unset: bool) -> str:
    """``key=value`` lines of the keys that contain ``wanted``; then, if asked for, an empty line and the unset ones."""
    rows: list[tuple[str, str | None]] = []
    for own, name in _places(config):
        # Each one is looked at, listed or not: what is wrong anywhere is said before anything is printed.
        own.stored(name)
        full = own.full_name(name)
        if wanted in full:
            rows.append((full, _text(own, name)))
    known = "".join(f"{name}={value}\n" for name, value in rows if value is not None)
    unset = "".join(f"{name}=\n" for name, value in rows if value is None)
    return known + (f"\n{unset}" if with_unset and unset else "")


def documentation(wanted: str) -> str:
    """What each key that contains ``wanted`` is for, the keys right-aligned."""
    rows = {key: entry for key, entry in KEYS.items() if wanted in key}
    width = max((len(key) for key in rows), default=0)
    blocks = []
    for key, entry in rows.items():
        lines = [*entry.doc.split("\n"), f"Example: {entry.example}"]
        margin = "\n" + " " * (width + 2)
        blocks.append(f"{key:>{width}}  " + margin.join(lines) + "\n\n")
    return "".join(blocks)


def _places(config: Config) -> list[tuple[Config, str]]:
    """Every key in the order of the list, those of a cloud once more for each of its profiles."""
    found: list[tuple[Config, str]] = []
    done: set[str] = set()
    for name in listed(KEYS):
        cloud = cloud_of(name)
        if cloud in done:
            continue
        if cloud not in CLOUDS:
            found.append((config, name))
            continue
        done.add(cloud)
        own = [each for each in listed(KEYS) if cloud_of(each) == cloud]
        profiles = [] if config.profile else config.profiles(cloud)
        configs = [config, *(configuration.load(config.directory, profile) for profile in profiles)]
        found += [(each, key) for each in configs for key in own]
    return found


def _text(config: Config, name: str) -> str | None:
    try:
        value = value_of(config, name)
    except ConfigurationError:
        return None
    return None if value is None else to_text(value)
