# SPDX-License-Identifier: Apache-2.0
"""The file of a private key in a token: written where it is missing, and for a new key in the same token."""

import os
import shlex
from pathlib import Path

from tedge_cert import cures, journal
from tedge_cert.config import token_settings, token_uri
from tedge_cert.config.keys import CLOUDS
from tedge_cert.config.token_settings import TokenSettings
from tedge_cert.device import made_keys, profiles
from tedge_cert.device.instance import Instance, resolve
from tedge_cert.disk import files, owners
from tedge_cert.errors import CertificateError, ConfigurationError
from tedge_cert.x509 import certificate, hardware_keys, keys, pin_guard, provider, token
from tedge_cert.x509.hardware_keys import HardwareKey
from tedge_cert.x509.token import TokenKey


def content_of(instance: Instance, uri: str) -> bytes:
    """Return the file that names the key at ``uri`` for this instance; a PIN of its own is named by its file."""
    found = token_settings.of(instance.config, instance.cloud)
    attributes = {"type": "private", **token_uri.parse(uri)}
    if found is not None and found.has_own_pin:
        attributes["pin-source"] = f"file:{found.pin_file}"
    return token_uri.pem_of(token_uri.text_of(attributes))


def settle(instance: Instance, registers: bool = False) -> None:
    """Write the file of the key that the settings name in a token, if it names another one or is missing.

    Where a rotation replaced that key, the file says which one is in use. Unless the device ``registers``, a file that
    names another key stays while there is a certificate, which may be for that key.

    Call it under the lock. Raises ConfigurationError if no key is chosen, or where a key would be overwritten.
    """
    found = token_settings.of(instance.config, instance.cloud)
    if found is None:
        return
    present = keys.content_of(instance.key)
    if not _names_key(found):
        if present is None:
            raise ConfigurationError(
                f"device.cryptoki.mode is module, and no key is chosen: `sudo tedge hsm create-key {instance.words}` "
                "makes one in the token"
            )
        return
    uri = _in_use(instance, found, present)
    wanted = content_of(instance, uri)
    if present == wanted:
        return
    if present is not None and hardware_keys.kind_in(present) != hardware_keys.TOKEN:
        file = shlex.quote(str(instance.key))
        raise ConfigurationError(
            f"{instance.key} holds a key, and device.key_uri names another one in a token: `sudo mv {file} {file}.old` "
            "uses the token, `sudo tedge config unset device.key_uri` uses the file"
        )
    if not registers and chosen_key(instance) is not None:
        journal.warning(
            f"{instance.key} names another key than the settings, {found.uri}, and stays, because the certificate is "
            f"for that key: {cures.command('cert renew')} gets a certificate for the other one, and both are then "
            "used together"
        )
        return
    if uri == found.uri:
        made_keys.follow(instance, uri)
    files.write(instance.key, wanted, owners.PRIVATE_KEY)
    journal.info(f"{instance.key} names the key in the token: {uri}")


def _names_key(found: TokenSettings) -> bool:
    return bool(found.uri) and any(each in token_uri.parse(found.uri) for each in token_uri.OF_KEY)


def chosen_key(instance: Instance) -> bytes | None:
    """Return the file of another key that the settings name in a token, which the certificate is not for, or None."""
    found = token_settings.of(instance.config, instance.cloud)
    if found is None or not _names_key(found) or made_keys.is_replaced(instance, found.uri):
        return None
    present = hardware_keys.attributes_in(keys.content_of(instance.key_file) or b"")
    if present is None:
        return None
    wanted = content_of(instance, found.uri)
    chosen = hardware_keys.attributes_in(wanted) or {}
    same = all(present.get(each) == chosen.get(each) for each in (*token_uri.OF_TOKEN, *token_uri.OF_KEY))
    return None if same or _fits(instance, wanted) else wanted


def _fits(instance: Instance, wanted: bytes) -> bool:
    """Return whether there is no certificate, or one that belongs to the key that this file would name."""
    if not os.path.lexists(instance.certificate):
        return True
    try:
        public_key = certificate.load(instance.certificate).public_key
        return hardware_keys.tried(instance.key_file, wanted).public_key == public_key
    except CertificateError:
        return False


def _in_use(instance: Instance, found: TokenSettings, present: bytes | None) -> str:
    if not made_keys.is_replaced(instance, found.uri):
        return found.uri
    attributes = hardware_keys.attributes_in(present or b"")
    if attributes is None:
        return made_keys.successor(instance, found.uri)
    return token_uri.text_of({name: value for name, value in attributes.items() if name != "pin-source"})


def made_like(instance: Instance, present: HardwareKey) -> bytes:
    """Make a key of the kind of ``present`` in the same token, under an id of its own, and return its file.

    It is written down first: whenever this ends, the next run finds the key. Raises TedgeCertError.
    """
    content = files.read_regular(instance.key_file)
    attributes = hardware_keys.attributes_in(content) or {}
    former = hardware_keys.find_in_token(instance.key_file, content)
    identifier = os.urandom(16).hex()
    # Two keys of one label are told apart by their ids. Where others made the former key, it stays, and a setting or
    # another program may know it by its label.
    has_id = "id" in attributes and made_keys.is_ours(instance, former.uri)
    label = former.label if has_id else f"{former.label or 'tedge'}-{identifier[:8]}"
    made = TokenKey(former.token, True, former.kind, label, identifier)
    replaced = {setting for file, setting in _settings(instance) if file == instance.key_file}
    made_keys.make_spare(instance, made.uri, replaced)
    pin = pin_guard.pin_of(former.token, attributes)
    token.make_key(provider.module_in_use(), former.token, pin, hardware_keys.kind_of(present), label, identifier)
    return content_of(instance, made.uri)


def _settings(instance: Instance) -> list[tuple[Path, str]]:
    """Return the key files of all settings for a token, each with the URI that the settings have for it."""
    named = []
    for config in profiles.configs(instance.config):
        for cloud in ("", *CLOUDS):
            found = token_settings.of(config, cloud)
            if found is not None and found.uri:
                named.append((resolve(config, cloud).key_file, found.uri))
    return named


def unused(instance: Instance, key_files: set[Path]) -> list[str]:
    """Return the URIs of spare keys that none of these files names, and no setting; raises TedgeCertError.

    Without a key in a token there are none: the PIN is that of the key in use, which was tried.
    """
    spare = made_keys.spare(instance)
    in_use = _named_by(instance.key_file) if spare else None
    if in_use is None:
        return []
    if not os.path.lexists(instance.previous):
        for uri in (each for each in spare if made_keys.is_named(each, in_use)):
            made_keys.keep(instance, uri)
    named = [each for each in map(_named_by, key_files) if each is not None]
    # A setting whose key a rotation replaced names none any more, nor does one that names only a token.
    settings = [token_uri.parse(uri) for _, uri in _settings(instance) if not made_keys.is_replaced(instance, uri)]
    named += [each for each in settings if any(name in each for name in token_uri.OF_KEY)]
    return [uri for uri in spare if not any(made_keys.is_named(uri, each) for each in named)]


def _named_by(path: Path) -> dict[str, str] | None:
    """Return the attributes of the key in a token that a file names; raises CertificateError if that is not known."""
    content = keys.content_of(path) or b""
    found = hardware_keys.attributes_in(content)
    if found is None and hardware_keys.kind_in(content) == hardware_keys.TOKEN:
        raise CertificateError(f"{path} names a key in a token, and which one cannot be read")
    return found


def remove(instance: Instance, uri: str) -> None:
    """Remove a key from the token, both halves, if that is the token of the key in use; raises TedgeCertError."""
    in_use, wanted = _named_by(instance.key_file) or {}, token_uri.parse(uri)
    module = provider.module_in_use()
    there = token.chosen(module, wanted)
    if not there.is_meant_by(in_use):
        journal.debug(f"{uri} is not in the token that is used now")
        return
    found = [each for each in pin_guard.keys(module, there, in_use) if each.identifier == wanted.get("id")]
    if any(each.label != wanted.get("object", "") for each in found):
        raise CertificateError(f"another key has the id {wanted.get('id')} too, so {uri} stays")
    for each in found:
        token.remove_key(module, each, pin_guard.pin_of(there, in_use))
    made_keys.forget(instance, uri)
    if found:
        journal.info(f"removed a key that is not used any more from the token: {uri}")
