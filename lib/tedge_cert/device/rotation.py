# SPDX-License-Identifier: Apache-2.0
"""A new private key with a new certificate: whether it is wanted, whether it is possible, and the key itself.

The new key lies beside the present one, as the candidate lies beside the certificate. It is made before the request is
sent and stays until a certificate for it came, so no authority signs for a key that is lost.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import cures, journal
from tedge_cert.config import no_effect
from tedge_cert.config.keys import CLOUDS
from tedge_cert.config.settings import key_for
from tedge_cert.device import made_keys, profiles, token_key
from tedge_cert.device.instance import Instance
from tedge_cert.disk import aliases, files, owners
from tedge_cert.errors import CertificateError, ConfigurationError, TedgeCertError
from tedge_cert.x509 import hardware_keys, keys, provider
from tedge_cert.x509.hardware_keys import HardwareKey
from tedge_cert.x509.keys import PrivateKey

# Pairs of settings that name a certificate and its key; those of the device itself come with every cloud.
_PAIRS = (
    ("device.cert_path", "device.key_path"),
    *((f"{cloud}.device.cert_path", f"{cloud}.device.key_path") for cloud in CLOUDS),
    ("c8y.est.bootstrap.cert_path", "c8y.est.bootstrap.key_path"),
    ("mqtt.client.auth.cert_file", "mqtt.client.auth.key_file"),
    ("mqtt.external.cert_file", "mqtt.external.key_file"),
    ("http.client.auth.cert_file", "http.client.auth.key_file"),
    ("c8y.proxy.cert_path", "c8y.proxy.key_path"),
)


@dataclass(frozen=True)
class CandidateKey:
    """A new private key beside the present one."""

    key: PrivateKey
    content: bytes

    @property
    def public_key(self) -> bytes:
        """Its SubjectPublicKeyInfo in DER."""
        return keys.public_key(self.key)


def setting(instance: Instance) -> str:
    """Return the setting that wants a new key with each renewal, as it is set."""
    own = instance.rotation_key
    return instance.config.full_name(own) if instance.config.is_set(own) else "certificate.rotate_key"


def candidate_key(instance: Instance) -> CandidateKey | None:
    """Return the candidate key; None if there is none, or, with a warning, one that cannot be used."""
    try:
        return _load(instance)
    except CertificateError as error:
        journal.warning(str(error))
        return None


def _load(instance: Instance) -> CandidateKey | None:
    path = instance.candidate_key
    try:
        content = files.read_regular(path)
        return CandidateKey(keys.from_content(path, content), content)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = error.strerror or "cannot be read"
    except CertificateError as error:
        why = str(error)
    raise CertificateError(
        f"the candidate key {path} cannot be used: {why}; `sudo rm {shlex.quote(os.fspath(path))}` has the next "
        "renewal make another one"
    )


def need(instance: Instance, present: PrivateKey) -> CandidateKey:
    """Return the candidate key; make one of the kind of ``present`` if there is none. Raises TedgeCertError.

    The caller has called ``check``, and holds the lock.
    """
    path = instance.candidate_key
    chosen = token_key.chosen_key(instance)
    if chosen is not None:
        _check_chosen(instance, chosen)
        if keys.content_of(path) not in (None, chosen):
            # It is not the one that a person chose.
            files.remove(path)
    if found := _load(instance):
        journal.info(f"the request is made with the candidate key {path}")
        return found
    try:
        _make(instance, present, chosen)
    except FileExistsError as error:
        raise TedgeCertError(f"{path} appeared meanwhile; try again") from error
    what = "made a new private key" if chosen is None else "the settings name another private key"
    journal.info(f"{what}, {path}; it is used together with its certificate, and not before")
    found = _load(instance)
    if found is None:
        raise TedgeCertError(f"{path} was removed by another program; try again")
    return found


def _check_chosen(instance: Instance, chosen: bytes) -> None:
    try:
        hardware_keys.tried(instance.candidate_key, chosen)
    except CertificateError as error:
        raise type(error)(f"device.key_uri names another key than {instance.key_file}: {error}") from error


def _make(instance: Instance, present: PrivateKey, chosen: bytes | None) -> None:
    access = owners.access_of(instance.key_file.stat())
    if chosen is not None:
        files.create(instance.candidate_key, chosen, access)
    elif isinstance(present, HardwareKey) and present.kind == hardware_keys.TOKEN:
        files.create(instance.candidate_key, token_key.made_like(instance, present), access)
    else:
        keys.create_like(present, instance.candidate_key, access)


def remove_former(instance: Instance) -> None:
    """Remove the file of the former key; from a token the key itself too, if this package made it.

    The caller holds the lock, and the former certificate will not be used again.
    """
    if not os.path.lexists(instance.previous_key):
        return
    try:
        made_keys.retire(instance, instance.previous_key)
    except (OSError, TedgeCertError) as error:
        journal.warning(f"the former key stays in the token: {error}")
    files.remove(instance.previous_key)
    remove_spare(instance)


def remove_spare(instance: Instance) -> None:
    """Remove keys from the token that a rotation made or replaced, and that no key file names any more.

    The caller holds the lock. What cannot be removed is left for the next run: no renewal fails for it.
    """
    if not provider.module_in_use():
        return
    unused: list[str] = []
    with _left_for_later():
        unused = token_key.unused(instance, _key_files(instance))
    for each in unused:
        with _left_for_later():
            token_key.remove(instance, each)


@contextmanager
def _left_for_later() -> Iterator[None]:
    try:
        yield
    except (OSError, TedgeCertError) as error:
        journal.warning(f"a key that is not used any more stays in the token until the next renewal: {error}")


def _key_files(instance: Instance) -> set[Path]:
    """Return the paths of all private keys of the settings, and of those beside them."""
    found = {instance.key_file}
    for config in profiles.configs(instance.config):
        found |= {Path(path) for _, name in _PAIRS if (path := config.text(name)) is not None}
    return {each.with_name(f"{each.name}{suffix}") for each in found for suffix in ("", ".new", ".previous")}


def check(instance: Instance) -> None:
    """Check that the key can be replaced by a new one; raises TedgeCertError that says why not.

    Nothing is written or asked for before that.
    """
    no_effect.refuse_key_in_hardware(instance.config, instance.cloud)
    key = instance.key_file
    if instance.cloud not in ("", "c8y"):
        raise _impossible(instance, f"{CLOUDS[instance.cloud]} is not connected by this package")
    configured = instance.config.need(key_for(instance.cloud, "device.key_path"))
    if key != Path(configured):
        raise _impossible(instance, f"{configured} belongs to another user, and is only handed over to be read")
    if key.is_symlink():
        raise _impossible(
            instance, f"{key} is a symbolic link, which a new key would replace by a file: set device.key_path to the "
            f"file itself, {os.path.realpath(key)}"
        )  # fmt: skip
    _check_file(instance, key)
    _check_neighbours(instance, key)


def _impossible(instance: Instance, why: str) -> ConfigurationError:
    if instance.rotates_key:
        name = instance.rotation_key if instance.profile else "certificate.rotate_key"
        cure = cures.by_root("config set", f"{name} false{instance.config.option}")
        return ConfigurationError(
            f"no new private key can be made, which {setting(instance)} wants: {why}; `{cure}` renews with the present "
            "key",
            cure,
        )
    return ConfigurationError(
        f"no new private key can be made: {why}; without --new-key the renewal keeps the present key"
    )


def _check_file(instance: Instance, key: Path) -> None:
    """Check that a new key can be put beside the present one, of the same kind, owner and group."""
    try:
        facts = key.stat()
        files.read_regular(key)
    except OSError:
        # The command that loads the key says what is wrong with it.
        return
    if os.geteuid() and facts.st_uid != os.geteuid():
        raise _impossible(
            instance, f"{key} belongs to user {owners.name_of(facts.st_uid)}, and a new key would belong to "
            f"{owners.name_of(os.geteuid())}, so that other programs could not use it"
        )  # fmt: skip
    if os.geteuid() and facts.st_mode & 0o070 and facts.st_gid != os.getegid():
        raise _impossible(
            instance, f"{key} is for a group other than that of this process, which a new key would not be for: "
            f"`sudo chgrp mosquitto {shlex.quote(os.fspath(key))}`"
        )  # fmt: skip
    if not os.access(key.parent, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(key.parent).f_flag & os.ST_RDONLY
        opens = f"it is read-only here, and {cures.command('reconnect')} opens it to the unit"
        let_in = opens if is_read_only else cures.write_refused(instance.candidate_key)
        raise _impossible(instance, f"this process may not write in {key.parent}, where the key is: {let_in}")


def _check_neighbours(instance: Instance, key: Path) -> None:
    """Check that nothing else lies where the keys are put, and that no other certificate belongs to the key."""
    for beside in (instance.candidate_key, instance.previous_key):
        for other in (instance.certificate, instance.csr):
            if aliases.is_same(os.fspath(beside), os.fspath(other)):
                raise _impossible(instance, f"{beside}, where a key is put, is the file {other} of another setting")
    for config in profiles.configs(instance.config):
        for names in _PAIRS:
            certificate, other_key = (config.text(each) for each in names)
            if certificate is None or other_key is None or not os.path.lexists(certificate):
                continue
            has_our_key = aliases.is_same(other_key, os.fspath(key))
            first, second = (config.full_name(each) for each in names)
            if not aliases.is_same(certificate, os.fspath(instance.certificate)):
                if has_our_key:
                    raise _impossible(
                        instance, f"{key} is also the key of {certificate} ({first}): give that one a key of its own"
                    )
            elif not has_our_key and os.path.lexists(other_key):
                raise _impossible(instance, f"{certificate} has another key file too, {other_key} ({second})")
