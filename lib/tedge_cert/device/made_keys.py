# SPDX-License-Identifier: Apache-2.0
"""Write down the keys in a token that this package made for a key file, and which of them are to be removed.

A key in a token outlives the file that names it, so each is written down before it is made. It is *kept*, or *spare*:
a spare key is removed from the token as soon as no key file names it. A candidate key is spare until it is the active
one and confirmed; the former key is spare from then on. Keys that others made are not here, and stay in the token.

The record also has the settings that were replaced: a renewal cannot write settings, so ``device.key_uri`` names the
first key of a row of rotations.
"""

from collections.abc import Collection
from pathlib import Path

from tedge_cert.config import token_uri
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, lock
from tedge_cert.errors import UnreadableError
from tedge_cert.x509 import hardware_keys, provider

_KEPT, _SPARE, _SETTING = "kept", "spare", "setting"
Lines = list[tuple[str, str]]


def keep(instance: Instance, uri: str) -> None:
    """Write down that the key at ``uri`` is made, or used from now on, and stays."""
    _write(instance, [*(each for each in _read(instance) if each != (_SPARE, uri)), (_KEPT, uri)])


def make_spare(instance: Instance, uri: str, settings: Collection[str]) -> None:
    """Write down that a candidate key is made at ``uri``; it may replace the key that these ``settings`` name."""
    lines = [each for each in _read(instance) if each[0] != _SETTING]
    _write(instance, [*lines, (_SPARE, uri), *((_SETTING, each) for each in settings)])


def follow(instance: Instance, setting: str) -> None:
    """Write down that this setting names the key in use now, in place of settings that a rotation replaced."""
    lines = _read(instance)
    kept = [each for each in lines if each[0] != _SETTING]
    if kept != lines:
        _write(instance, [*kept, (_SETTING, setting)])


def retire(instance: Instance, path: Path) -> None:
    """Write down that the key that the file at ``path`` names is spare, if this package made it.

    A key that gave way to one that a person chose in the settings stays: the person may go back to it.
    """
    attributes = hardware_keys.attributes_in(files.read_regular(path))
    in_use = hardware_keys.attributes_in(files.read_regular(instance.key_file))
    lines = _read(instance)
    if attributes is None or in_use is None:
        return
    if not any(is_named(uri, in_use) for uri in spare(instance)):
        _write(instance, [each for each in lines if each[0] != _SETTING])
        return
    found = [each for each in lines if each[0] != _SETTING and is_named(each[1], attributes)]
    if len(found) == 1:
        _write(instance, [*(each for each in lines if each != found[0]), (_SPARE, found[0][1])])


def forget(instance: Instance, uri: str) -> None:
    """Write down that the key at ``uri`` is not in the token any more."""
    _write(instance, [each for each in _read(instance) if each != (_SPARE, uri)])


def spare(instance: Instance) -> list[str]:
    """Return the URIs of the keys that may be removed when no key file names them; raises UnreadableError."""
    return [uri for state, uri in _read(instance) if state == _SPARE]


def is_ours(instance: Instance, uri: str) -> bool:
    """Return whether this package made the key at ``uri``."""
    return any(each in _read(instance) for each in ((_KEPT, uri), (_SPARE, uri)))


def is_replaced(instance: Instance, setting: str) -> bool:
    """Return whether a rotation may have replaced the key that this setting names: the key file then says which."""
    return (_SETTING, setting) in _read(instance)


def successor(instance: Instance, setting: str) -> str:
    """Return the URI of the key that replaced the one that this setting names; its own if that is still kept."""
    kept = [uri for state, uri in _read(instance) if state == _KEPT]
    return setting if setting in kept else (kept or [setting])[-1]


def is_named(uri: str, attributes: dict[str, str]) -> bool:
    """Return whether the URI with these attributes, of a key file or a setting, can mean the key at ``uri``."""
    mine = token_uri.parse(uri)
    # A slot has another number at the next boot, so it tells no keys apart.
    names = {*token_uri.OF_TOKEN, *token_uri.OF_KEY} - {"slot-id"}
    return all(mine.get(each) == attributes[each] for each in names if each in attributes)


def _record(instance: Instance) -> Path:
    name = Path(lock.name_for(instance.key_file)).with_suffix(".token-keys")
    return Path(provider.state_directory(instance.config.directory)) / name


def _read(instance: Instance) -> Lines:
    try:
        text = files.read_regular(_record(instance)).decode("ascii", "replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnreadableError(
            f"cannot read {_record(instance)}: {error.strerror}; it says which keys in the token are not used any more"
        ) from error
    lines = [(state, uri) for state, _, uri in (each.partition(" ") for each in text.splitlines())]
    return [each for each in lines if _is_uri(each[1])]


def _is_uri(text: str) -> bool:
    try:
        return bool(token_uri.parse(text))
    except ValueError:
        return False


def _write(instance: Instance, lines: Lines) -> None:
    files.write_state(_record(instance), "".join(f"{state} {uri}\n" for state, uri in lines).encode("ascii"))
