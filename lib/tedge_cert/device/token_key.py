# SPDX-License-Identifier: Apache-2.0
"""The file of a private key in a token: what the settings say it names, written where it is missing."""

import shlex

from tedge_cert import journal
from tedge_cert.config import token_settings, token_uri
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import ConfigurationError
from tedge_cert.x509 import hardware_keys, keys


def content_of(instance: Instance, uri: str) -> bytes:
    """Return the file that names the key at ``uri`` for this instance; a PIN of its own is named by its file."""
    found = token_settings.of(instance.config, instance.cloud)
    attributes = {"type": "private", **token_uri.parse(uri)}
    if found is not None and found.has_own_pin:
        attributes["pin-source"] = f"file:{found.pin_file}"
    return token_uri.pem_of(token_uri.text_of(attributes))


def settle(instance: Instance) -> None:
    """Write the file of the key that the settings name in a token, if it names another one or is missing.

    Call it under the lock. Raises ConfigurationError if no key is chosen, or where a key would be overwritten.
    """
    found = token_settings.of(instance.config, instance.cloud)
    if found is None:
        return
    present = keys.content_of(instance.key)
    names_key = any(each in token_uri.parse(found.uri) for each in token_uri.OF_KEY) if found.uri else False
    if not names_key:
        if present is None:
            raise ConfigurationError(
                f"device.cryptoki.mode is module, and no key is chosen: `sudo tedge hsm create-key {instance.words}` "
                "makes one in the token"
            )
        return
    wanted = content_of(instance, found.uri)
    if present == wanted:
        return
    if present is not None and hardware_keys.kind_in(present) != hardware_keys.TOKEN:
        file = shlex.quote(str(instance.key))
        raise ConfigurationError(
            f"{instance.key} holds a key, and device.key_uri names another one in a token: `sudo mv {file} {file}.old` "
            "uses the token, `sudo tedge config unset device.key_uri` uses the file"
        )
    files.write(instance.key, wanted, owners.PRIVATE_KEY)
    journal.info(f"{instance.key} names the key in the token: {found.uri}")
