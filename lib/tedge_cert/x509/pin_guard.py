# SPDX-License-Identifier: Apache-2.0
"""Try a PIN once at most: a token locks itself after a few wrong ones, and OpenSSL would try one five times.

A PIN that a token refused is remembered by its digest and never tried again. The flags of the token are looked at
first: a token that would lock itself at the next wrong PIN is left alone.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from tedge_cert.config import token_uri
from tedge_cert.disk import files, owners
from tedge_cert.errors import TedgeCertError, UnreadableError
from tedge_cert.x509 import provider, token
from tedge_cert.x509.token import PinRefusedError, Token, TokenKey

_ACCEPTED, _REFUSED = "accepted", "refused"
_SOURCE = "file:"
# So many results are remembered.
_LIMIT = 32


def pin_file(attributes: Mapping[str, str]) -> Path:
    """Return the file of the PIN for the key at this URI; raises UnreadableError if none is set."""
    named = attributes.get("pin-source", "").removeprefix(_SOURCE) or os.environ.get(provider.PIN_FILE, "")
    if not named:
        raise UnreadableError(
            "no PIN is set for the token: write it to a file of owner root, group mosquitto, mode 0640, and "
            "`sudo tedge config set device.cryptoki.pin_path FILE`"
        )
    return Path(named)


def is_tried_and_right(attributes: Mapping[str, str]) -> bool:
    """Return whether the present PIN was accepted when it was last tried; False for one that cannot be read."""
    try:
        return _results().get(_digest(attributes, read(pin_file(attributes)))) == _ACCEPTED
    except UnreadableError:
        return False


def why_refused(attributes: Mapping[str, str], file: Path, directory: str) -> str:
    """Return what to do about the PIN in ``file`` if the token refused it before; ``directory`` is of the settings.

    A file that this user cannot read, or that is not there because a credential is used, says nothing.
    """
    try:
        refused = _results(directory).get(_digest(attributes, read(file))) == _REFUSED
    except UnreadableError:
        return ""
    if not refused:
        return ""
    return _refused_before(f"the PIN in {file}", attributes.get("token", ""))


def _refused_before(where: str, label: str) -> str:
    return (
        f"{where} was refused by the token {label} and is not tried again, because that would lock the token: expected "
        f"another PIN there; if the token has been given this PIN since, `sudo rm {_record()}`"
    )


def keys(module: str, found: Token, attributes: Mapping[str, str], pin: str | None = None) -> list[TokenKey]:
    """List the keys in a token, after one login with the PIN of the URI's ``attributes`` or with this one.

    Raises PinRefusedError, without a try where that could lock the token, or UnreadableError.
    """
    if token.LOCKED in found.flags:
        raise PinRefusedError(f"the PIN of the token {found.label} is locked; {_as_officer(module)}")
    if not found.needs_login:
        return token.keys(module, found, None)
    where = "the PIN that was typed"
    if pin is None:
        file = pin_file(attributes)
        pin, where = read(file), f"the PIN in {file}"
    return _tried_once(module, found, _digest(attributes, pin), where, pin)


def pin_of(found: Token, attributes: Mapping[str, str]) -> str | None:
    """Return the PIN that ``keys`` has just tried, None for a token without one; raises UnreadableError."""
    return read(pin_file(attributes)) if found.needs_login else None


def _tried_once(module: str, found: Token, digest: str, where: str, pin: str) -> list[TokenKey]:
    results = _results()
    if results.get(digest) == _REFUSED:
        raise PinRefusedError(_refused_before(where, found.label))
    if token.FINAL_TRY in found.flags:
        raise PinRefusedError(
            f"a wrong PIN would lock the token {found.label}: one try is left, which a person should make: "
            f"`pkcs11-tool --module {module} --token-label '{found.label}' --login --list-objects`"
        )
    if digest not in results:
        # Before it is tried: a run that cannot remember the result would try again every hour.
        _remember(digest, _REFUSED)
    try:
        listed = token.keys(module, found, pin)
    except PinRefusedError as error:
        _remember(digest, _REFUSED)
        raise PinRefusedError(
            f"{where} is not that of the token {found.label}: {error}; it is not tried again until it changes"
        ) from error
    except UnreadableError:
        if digest not in results:
            _remember(digest, "")
        raise
    if results.get(digest) != _ACCEPTED:
        _remember(digest, _ACCEPTED)
    return listed


def _as_officer(module: str) -> str:
    return f"its security officer unlocks it: `pkcs11-tool --module {module} --login --login-type so --init-pin`"


def read(file: Path) -> str:
    """Return the PIN in ``file``; raises UnreadableError."""
    try:
        pin = files.read_regular(file, 4096, follow=True).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UnreadableError(
            f"cannot read the PIN in {file}: {why}; expected a file of owner root, group mosquitto, mode 0640 "
            "(device.cryptoki.pin_path)"
        ) from error
    if not pin or not pin.isprintable():
        raise UnreadableError(f"{file} holds no PIN; expected one line")
    return pin


def _digest(attributes: Mapping[str, str], pin: str) -> str:
    of_token = {name: attributes[name] for name in token_uri.OF_TOKEN if name in attributes}
    # Slow on purpose: there are few PINs.
    return hashlib.scrypt(pin.encode(), salt=repr(sorted(of_token.items())).encode(), n=1 << 13, r=8, p=1).hex()


def _record(directory: str = "") -> Path:
    return Path(provider.state_directory(directory)) / "token-pins"


def _results(directory: str = "") -> dict[str, str]:
    try:
        lines = files.read_regular(_record(directory), 1 << 16).decode("ascii", "replace").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UnreadableError(
            f"cannot read {_record()}: {error.strerror}; it says which PIN is not to be tried again, so none is tried"
        ) from error
    return {digest: result for result, _, digest in (each.partition(" ") for each in lines)}


def _remember(digest: str, result: str) -> None:
    """Keep the result of a PIN; an empty one is forgotten."""
    others = {each: known for each, known in _results().items() if each != digest}
    kept = [*others.items(), *([(digest, result)] if result else [])][-_LIMIT:]
    text = "".join(f"{known} {each}\n" for each, known in kept)
    try:
        # A short PIN can be guessed from its digest.
        files.write_state(_record(), text.encode(), owners.SECRET)
    except (OSError, TedgeCertError) as error:
        raise UnreadableError(
            f"no PIN is tried: {_record()} cannot be written, which remembers one that is refused ({error})"
        ) from error
