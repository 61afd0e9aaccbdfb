# SPDX-License-Identifier: Apache-2.0
"""``tedge hsm`` for keys in PKCS#11 tokens: make one, list tokens and keys, and try the PIN for mosquitto."""

import argparse
import errno
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

from tedge_cert import cures, journal, terminal
from tedge_cert.bridge import conf_change
from tedge_cert.cli import entry
from tedge_cert.commands import connection_options, provider_files
from tedge_cert.commands.root_tasks import Root
from tedge_cert.config import token_settings, token_uri
from tedge_cert.config.keys import CLOUDS
from tedge_cert.config.settings import Config
from tedge_cert.config.token_settings import TokenSettings
from tedge_cert.device import made_keys, profiles, rotation, token_key
from tedge_cert.device.connection_settings import files_of
from tedge_cert.device.custody import custody
from tedge_cert.device.instance import Instance, check_files, load_config, resolve
from tedge_cert.disk import files, owners, privileges
from tedge_cert.errors import CertificateError, ConfigurationError, TedgeCertError, UnreadableError
from tedge_cert.x509 import hardware_keys, keys, pin_guard, provider, requests, token
from tedge_cert.x509.token import PinRefusedError, Token, TokenKey

# How the child of `check-pin` says that a PIN must not reach mosquitto: that of the device, that of a profile.
_SHARED_REFUSED, _OWN_REFUSED = 3, 4


def create(arguments: argparse.Namespace) -> int:
    """Make a key in a token and the file that names it, or take one of this label; return the exit code."""
    arguments.cloud, wanted = place_of(arguments.place)
    identifier = _identifier(arguments.id)
    file = _opened(arguments.outfile_pubkey)
    instance = instance_of(arguments, lambda _: provider_files.set_up(arguments.config_dir, arguments.profile))
    check_files(instance)
    found = _settings(instance.config, instance.cloud)
    if arguments.pin is not None:
        journal.warning(
            "--pin: every user of this device can read a command line; device.cryptoki.pin_path names a file"
        )
    hardware_keys.check_installed()
    with custody(instance):
        rotation.remove_spare(instance)
        present = keys.content_of(instance.key_file)
        if present is not None and not arguments.force_new and hardware_keys.kind_in(present) != hardware_keys.TOKEN:
            raise in_use(
                instance, f"`sudo tedge hsm create-key --force-new {instance.words}` uses a new key in the token"
            )
        chosen = _token(found, wanted)
        attributes = {**_pin_of(found), **chosen.attributes}
        there = pin_guard.keys(found.module, chosen, attributes, arguments.pin)
        key = _made_or_found(instance, present, chosen, attributes, there, identifier, arguments)
        content = token_key.content_of(instance, key.uri)
        if present not in (None, content) and not arguments.force_new and _is_needed(instance, present, chosen, there):
            terminal.tell(_of_other_key(instance, key, "c8y" if arguments.cloud else ""))
            return 0
        set_up_provider(instance, tpm=False)
        _show(instance, content, key, file)
        if present != content:
            files.write(instance.key, content, owners.PRIVATE_KEY)
        made_keys.follow(instance, key.uri)
        setting = "c8y.device.key_uri" if arguments.cloud else "device.key_uri"
        if found.uri != key.uri:
            Root(instance).set_key_uri(setting, key.uri)
            terminal.tell(f"{instance.config.full_name(setting)} names it.\n")
    terminal.tell(f"    => {cures.register('')} gets a certificate for it\n")
    return 0


def place_of(words: list[str]) -> tuple[str, str]:
    """Return the cloud and the URI of the token that were typed, both optional; raises ConfigurationError."""
    clouds = [each for each in words if each in CLOUDS]
    uris = [each for each in words if each not in CLOUDS]
    if len(clouds) > 1 or len(uris) > 1 or (uris and not uris[0].startswith(token_uri.SCHEME)):
        raise ConfigurationError(
            f"'{' '.join(words)}' is no cloud and URI of a token; expected, for example, c8y 'pkcs11:token=gateway'"
        )
    return (clouds or [""])[0], (uris or [""])[0]


def kind_of(arguments: argparse.Namespace) -> str:
    """Return the kind of key that was typed, by its curve or its bits."""
    return str(arguments.curve if arguments.type == "ecdsa" else arguments.bits)


def set_up_provider(instance: Instance, tpm: bool) -> None:
    """Have root let OpenSSL, mosquitto and the renewal use the hardware, and use it in this process."""
    if Root(instance).update_provider(tpm) and instance.bridge_file.exists():
        # The broker reads this when it starts, so `reconnect` restarts it.
        conf_change.begin(files_of(instance))
    provider.enable(instance.config.directory)


def list_tokens(arguments: argparse.Namespace) -> int:
    """Print the tokens that the library reaches."""
    found = token.tokens(_listed_by(arguments).module)
    if not found:
        journal.warning("no token is there; plug it in, or make one (tedge-cert-renewer(7))")
    terminal.out("\n".join(_text_of_token(each) for each in found))
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """Print the keys of a token that fit the arguments."""
    found = _listed_by(arguments)
    attributes = _parsed(arguments.uri or "")
    for name, given in (("object", arguments.label), ("id", _identifier(arguments.id))):
        if given and name in attributes:
            raise ConfigurationError(f"the {name} of the key is in the URI and in an option; use only one")
        if given:
            attributes[name] = given
    chosen = _token(found, arguments.uri or "")
    listed = pin_guard.keys(found.module, chosen, {**chosen.attributes}, arguments.pin)
    shown = [each for each in listed if each.is_meant_by(attributes)]
    if not shown:
        journal.info(f"the token {chosen.label} has no such key" if listed else f"the token {chosen.label} has no keys")
    terminal.out("\n".join(_text_of_key(each) for each in shown))
    return 0


def _listed_by(arguments: argparse.Namespace) -> TokenSettings:
    """Return the settings of the token that a command lists, as user tedge and with OpenSSL set up."""
    entry.need_root(arguments)
    provider_files.set_up(arguments.config_dir)
    entry.act_as_tedge(arguments)
    return _settings(load_config(directory=arguments.config_dir), "")


def check_pin(arguments: argparse.Namespace) -> int:
    """Try the PIN once before mosquitto starts; a refused one is kept from it. Return 0: the broker starts anyway."""
    environment = provider_files.BROKER_ENVIRONMENT
    is_root = entry.is_of_system(arguments) and privileges.is_root()
    if is_root:
        files.remove(environment)
    code = privileges.split({}) if is_root else None
    if code is None:
        code = _verdict(load_config(directory=arguments.config_dir))
        if is_root:
            os._exit(code)
        return code
    lines = {
        # OpenSSL's own configuration knows no token.
        _OWN_REFUSED: f"{provider_files.WITHHELD}OPENSSL_CONF=/etc/ssl/openssl.cnf\n",
        # Without a PIN nothing is tried.
        _SHARED_REFUSED: f"{provider_files.WITHHELD}{provider.PIN_FILE}={environment}.refused\n",
    }
    pin_file = provider.pin_file() if code == 0 else ""
    text = lines.get(code, f"{provider.PIN_FILE}={pin_file}\n" if pin_file else "")
    if text:
        files.write(environment, text.encode(), owners.BROKER_CONFIGURATION)
    return 0


def _verdict(config: Config) -> int:
    """Return how the PINs of all profiles do, in the codes above."""
    result = 0
    for instance in profiles.present(resolve(config, "c8y")):
        content = keys.content_of(instance.key_file) or b""
        attributes = hardware_keys.attributes_in(content)
        if attributes is None:
            continue
        refused = _OWN_REFUSED if "pin-source" in attributes else _SHARED_REFUSED
        try:
            hardware_keys.unlock(instance.key_file, content)
        except PinRefusedError as error:
            journal.error(f"mosquitto gets no PIN, and its bridge stays down: {error}")
            result = max(result, refused)
        except TedgeCertError as error:
            journal.warning(str(error))
            if not pin_guard.is_tried_and_right(attributes):
                # Nothing says that it is right, and mosquitto would try it as soon as the token is there.
                result = max(result, refused)
    return result


def instance_of(arguments: argparse.Namespace, prepare: Callable[[argparse.Namespace], None]) -> Instance:
    """Return the instance that the arguments name, as tedge, after root has done what ``prepare`` does."""
    entry.need_root(arguments)
    prepare(arguments)
    return connection_options.load_with_root(arguments, arguments.cloud or "", arguments.profile)


def _settings(config: Config, cloud: str) -> TokenSettings:
    found = token_settings.of(config, cloud)
    if found is None:
        raise ConfigurationError(
            "device.cryptoki.mode is off: `sudo tedge config set device.cryptoki.mode module` uses keys in a token, "
            "device.cryptoki.module_path is its PKCS#11 library; a TPM needs neither (`--tpm`)"
        )
    return found


def _token(found: TokenSettings, typed: str) -> Token:
    """Return the token that was typed, or that the settings name, or the only one there is."""
    attributes = _parsed(typed or found.uri)
    named = {name: value for name, value in attributes.items() if name in token_uri.OF_TOKEN}
    if named:
        return token.chosen(found.module, named)
    there = [each for each in token.tokens(found.module) if each.is_initialized]
    if len(there) == 1:
        return there[0]
    if not there:
        return token.chosen(found.module, {})
    raise TedgeCertError("several tokens are there, type the URI of one:\n" + "\n".join(each.uri for each in there))


def _parsed(uri: str) -> dict[str, str]:
    try:
        return token_uri.parse(uri) if uri else {}
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _pin_of(found: TokenSettings) -> dict[str, str]:
    return {"pin-source": f"file:{found.pin_file}"} if found.has_own_pin else {}


def _made_or_found(
    instance: Instance,
    present: bytes | None,
    chosen: Token,
    attributes: dict[str, str],
    there: list[TokenKey],
    identifier: str,
    arguments: argparse.Namespace,
) -> TokenKey:
    """Return the private key of this label, and of this id if one was typed; it is made if there is none."""
    named = {"object": arguments.label, **({"id": identifier} if identifier else {})}
    same = [each for each in there if each.is_private and each.is_meant_by(named)]
    # A rotation that has not ended has two of one label, and the key file says which is in use.
    named_now = hardware_keys.attributes_in(present or b"")
    same = [each for each in same if named_now and each.is_meant_by(named_now)] or same
    if same and not arguments.force_new:
        if len(same) > 1:
            ids = ", ".join(each.identifier for each in same)
            raise TedgeCertError(
                f"{len(same)} keys in the token have the label {arguments.label}: name one, --id {ids}"
            )
        terminal.tell(f"The token {chosen.label} has the key {arguments.label} already, which is used.\n")
        return same[0]
    if identifier and any(each.identifier == identifier for each in there):
        raise TedgeCertError(f"the token {chosen.label} has a key of the id {identifier} already; type another --id")
    made = TokenKey(chosen, True, arguments.type, arguments.label, identifier or os.urandom(16).hex())
    made_keys.keep(instance, made.uri)
    pin = arguments.pin if arguments.pin is not None else pin_guard.pin_of(chosen, attributes)
    module, kind = _settings(instance.config, instance.cloud).module, kind_of(arguments)
    token.make_key(module, chosen, pin, kind, made.label, made.identifier)
    terminal.tell(f"The token {chosen.label} has made the key {made.label}.\n")
    return made


def _is_needed(instance: Instance, present: bytes | None, chosen: Token, there: list[TokenKey]) -> bool:
    """Return whether the key that the file names stays: a certificate may be its own, and nothing says it is gone."""
    attributes = hardware_keys.attributes_in(present or b"")
    if attributes is None or not os.path.lexists(instance.certificate):
        return False
    is_gone = chosen.is_meant_by(attributes) and not any(
        each.is_private and each.is_meant_by(attributes) for each in there
    )
    return not is_gone


def _of_other_key(instance: Instance, key: TokenKey, cloud: str) -> str:
    setting = instance.config.full_name(f"{cloud}.device.key_uri".lstrip("."))
    return (
        f"Key URI: {key.uri}\n{instance.key} names another key and is left alone: the certificate of the device may "
        f"depend on it.\n    => `sudo tedge config set {setting} '{key.uri}'` uses the new one with the next "
        f"certificate: `sudo tedge cert renew {instance.words}`\n"
    )


def in_use(instance: Instance, cure: str) -> CertificateError:
    """Return the error for a key file that names no key of the hardware in which one was to be made."""
    return CertificateError(
        f"{instance.key} is another key and is not replaced: the certificate of the device may depend on it; {cure}, "
        "and then the device has to be registered again"
    )


def _show(instance: Instance, content: bytes, key: TokenKey, file: int | None) -> None:
    """Use the key once, and tell its URI and its public half."""
    made = hardware_keys.tried(instance.key, content)
    pem = requests.pem_of(made.public_key, "PUBLIC KEY").decode()
    terminal.tell(f"Key URI: {key.uri}\nPublic key:\n{pem}\n")
    if file is not None:
        with os.fdopen(file, "w", encoding="ascii") as output:
            output.truncate()
            output.write(pem)


def _opened(path: Path | None) -> int | None:
    """Open the file of the caller with the caller's rights, before root's go.

    No link or other name of a file is followed: in a directory of tedge's, it would lead root to another file.
    """
    if path is None:
        return None
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        # The path is a link, or a pipe that no process reads.
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _no_place(path) from error
        raise UnreadableError(f"cannot write {path}: {error.strerror}") from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        os.close(descriptor)
        raise _no_place(path)
    return descriptor


def _no_place(path: Path) -> UnreadableError:
    return UnreadableError(
        f"cannot write {path}: expected a plain file with one name, or none; type another name, or "
        f"`sudo rm {shlex.quote(str(path))}` frees this one"
    )


def _identifier(typed: str | None) -> str:
    """Return an id as hexadecimal digits; blanks and colons may stand between its bytes. Raises ConfigurationError."""
    if typed is None:
        return ""
    try:
        found = bytes.fromhex(typed.replace(":", " ")).hex()
    except ValueError as error:
        raise ConfigurationError(f"--id {typed}: expected pairs of hexadecimal digits, such as 010203") from error
    if not found:
        raise ConfigurationError("--id: expected pairs of hexadecimal digits, such as 010203")
    return found


def _text_of_token(found: Token) -> str:
    facts = {
        "Label": found.label or "<uninitialized>", "Initialized": "yes" if found.is_initialized else "no",
        "Model": found.model, "Manufacturer": found.manufacturer, "Serial": found.serial, "URI": found.uri,
    }  # fmt: skip
    return f"Slot {int(found.slot, 16)}\n" + "".join(f"  {name + ':':<13} {value}\n" for name, value in facts.items())


def _text_of_key(found: TokenKey) -> str:
    facts = {"Label": found.label, "Id": found.identifier, "Type": found.kind, "URI": found.uri}
    rows = "".join(f"  {name + ':':<6} {value}\n" for name, value in facts.items() if value)
    return f"{'Private' if found.is_private else 'Public'} key\n{rows}"
