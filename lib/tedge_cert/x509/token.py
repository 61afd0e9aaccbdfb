# SPDX-License-Identifier: Apache-2.0
"""Look into PKCS#11 tokens by ``pkcs11-tool``: which tokens there are, which keys they hold, and make a key."""

import os
import re
import shlex
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tedge_cert import journal, processes
from tedge_cert.config import token_uri
from tedge_cert.disk import owners
from tedge_cert.errors import TedgeCertError, UnreadableError
from tedge_cert.x509 import provider

_TOOL = "pkcs11-tool"
OPEN_SOFTHSM = "sudo chmod -R g+rwX /var/lib/softhsm/tokens"
INSTALL = "`sudo apt install --no-install-recommends opensc`, then try again"
# A reader that hangs must not keep the broker from starting, which systemd gives 90 s.
_TIMEOUT_S = 20.0
_PIN = "TOKEN_PIN"
# What the flags of a token say of its PIN (PKCS#11 2.40 §3.2, CK_TOKEN_INFO), in the words of the tool.
FINAL_TRY, LOCKED = "final user PIN try", "user PIN locked"
# The kinds of keys as `tedge hsm create-key` names them, and as the tool does.
KINDS = {
    "p256": "EC:prime256v1", "p384": "EC:secp384r1", "2048": "rsa:2048", "3072": "rsa:3072", "4096": "rsa:4096",
}  # fmt: skip
_REFUSALS = ("CKR_PIN_INCORRECT", "CKR_PIN_INVALID", "CKR_PIN_LEN_RANGE", "CKR_PIN_EXPIRED", "CKR_PIN_LOCKED")


class PinRefusedError(UnreadableError):
    """The token refused the PIN: each further attempt brings it nearer to locking itself."""


@dataclass(frozen=True)
class Token:
    """A token in a slot; ``flags`` in the words of the tool."""

    slot: str
    label: str = ""
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    flags: frozenset[str] = field(default=frozenset())

    @property
    def is_initialized(self) -> bool:
        return "token initialized" in self.flags

    @property
    def needs_login(self) -> bool:
        return "login required" in self.flags

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of its URI."""
        found = {"model": self.model, "manufacturer": self.manufacturer, "serial": self.serial, "token": self.label}
        return {name: value for name, value in found.items() if value}

    @property
    def uri(self) -> str:
        return token_uri.text_of(self.attributes)

    def is_meant_by(self, attributes: Mapping[str, str]) -> bool:
        """Return whether the attributes of a URI fit this token."""
        mine = {**self.attributes, "slot-id": str(int(self.slot, 16))}
        return all(mine.get(name, "") == attributes[name] for name in token_uri.OF_TOKEN if name in attributes)


@dataclass(frozen=True)
class TokenKey:
    """One half of a key pair in a token; ``identifier`` in hexadecimal."""

    token: Token
    is_private: bool
    kind: str
    label: str = ""
    identifier: str = ""

    @property
    def uri(self) -> str:
        named = {"id": self.identifier, "object": self.label}
        kept = {name: value for name, value in named.items() if value}
        return token_uri.text_of({**self.token.attributes, **kept, "type": "private" if self.is_private else "public"})

    def is_meant_by(self, attributes: Mapping[str, str]) -> bool:
        """Return whether the attributes of a URI fit this key."""
        mine = {"object": self.label, "id": self.identifier}
        return all(mine[name] == attributes[name] for name in token_uri.OF_KEY if name in attributes)


def tokens(module: str) -> list[Token]:
    """List the slots of a module that hold a token, one that has no label yet included; no PIN is needed."""
    found: list[Token] = []
    facts: dict[str, str] = {}
    for line in _run(module, ["--list-slots"]).splitlines():
        if slot := re.match(r"Slot \d+ \((0x[0-9a-f]+)\)", line):
            facts = {"slot": slot[1]}
        name, _, value = (each.strip() for each in line.partition(":"))
        if name == "token state" and value == "uninitialized":
            found.append(Token(facts.get("slot", "0x0")))
        elif name in _FACTS:
            facts[_FACTS[name]] = value
            if name == "serial num":
                flags = frozenset(each.strip() for each in facts.pop("flags", "").split(","))
                found.append(Token(**facts, flags=flags))
    return found


_FACTS = {
    "token label": "label", "token manufacturer": "manufacturer", "token model": "model", "token flags": "flags",
    "serial num": "serial",
}  # fmt: skip


def keys(module: str, token: Token, pin: str | None) -> list[TokenKey]:
    """List the keys in a token after one login, or without one; raises PinRefusedError."""
    found: list[TokenKey] = []
    for line in _run(module, ["--slot", token.slot, "--list-objects"], pin).splitlines():
        if head := re.match(r"(Private|Public) Key Object; (\w+)", line):
            found.append(TokenKey(token, head[1] == "Private", head[2]))
        elif not line.startswith(" "):
            found.append(TokenKey(token, False, ""))
        elif found and (part := re.match(r"  (label|ID): +(.*)", line)):
            last = found[-1]
            label, identifier = (part[2], last.identifier) if part[1] == "label" else (last.label, part[2])
            found[-1] = TokenKey(token, last.is_private, last.kind, label, _hexadecimal(identifier))
    return [each for each in found if each.kind]


def _hexadecimal(identifier: str) -> str:
    """Return the digits of an id as the tool prints it; since OpenSC 0.27 a short one is ``258 (0x01:02)``."""
    after_number = re.search(r"\(0x([0-9a-f:]+)\)", identifier)
    return (after_number[1] if after_number else identifier).replace(":", "")


def make_key(module: str, token: Token, pin: str | None, kind: str, label: str, identifier: str) -> None:
    """Make a key pair, ``kind`` of ``KINDS``; raises TedgeCertError."""
    named = ["--label", label, "--id", identifier]
    _run(module, ["--slot", token.slot, "--keypairgen", "--key-type", KINDS[kind], *named], pin)
    if provider.is_softhsm(module):
        _share_files()


def remove_key(module: str, key: TokenKey, pin: str | None) -> None:
    """Remove one half of a key pair by its id; raises TedgeCertError."""
    named = ["--type", "privkey" if key.is_private else "pubkey", "--id", key.identifier]
    _run(module, ["--slot", key.token.slot, "--delete-object", *named], pin)


def _directory_of_softhsm() -> Path:
    """Return where SoftHSM keeps its tokens (softhsm2.conf(5))."""
    file = Path(os.environ.get("SOFTHSM2_CONF", "/etc/softhsm/softhsm2.conf"))
    try:
        lines = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines())
        return next(Path(value.strip()) for name, _, value in lines if name.strip() == "directories.tokendir")
    except (OSError, UnicodeDecodeError, StopIteration):
        return Path("/var/lib/softhsm/tokens")


def _share_files() -> None:
    """Let the group of SoftHSM's tokens use the key files of this user, which no umask opens to it.

    No link is followed: members of the group write there, and root, in a trial, has more files than these.
    """
    for _, _, names, directory in os.fwalk(_directory_of_softhsm()):
        for name in names:
            with owners.opened(name, os.O_NONBLOCK, directory) as descriptor:
                if descriptor is None:
                    continue
                facts = os.fstat(descriptor)
                is_ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and facts.st_nlink == 1
                if is_ours and not facts.st_mode & 0o020:
                    os.fchmod(descriptor, facts.st_mode & 0o777 | 0o060)


def chosen(module: str, attributes: Mapping[str, str]) -> Token:
    """Return the one token that the attributes of a URI mean; raises UnreadableError that lists what there is."""
    present = [each for each in tokens(module) if each.is_initialized]
    found = [each for each in present if each.is_meant_by(attributes)]
    if len(found) == 1:
        return found[0]
    wanted = token_uri.text_of({name: attributes[name] for name in token_uri.OF_TOKEN if name in attributes})
    if found:
        raise UnreadableError(
            f"{len(found)} tokens are meant by {wanted}: {_listed(found)}; name one with its serial number"
        )
    user = owners.name_of(os.geteuid())
    raise UnreadableError(
        f"there is no token {wanted} (user {user} sees {_listed(present) or 'none'}); plug it in, or let this user "
        f"reach it: {_hint(module)}"
    )


def _hint(module: str) -> str:
    if provider.is_softhsm(module):
        return f"`{OPEN_SOFTHSM}`, and `sudo tedge hsm list-tokens` makes tedge and mosquitto members of group softhsm"
    return f"`sudo -u tedge {_TOOL} --module {shlex.quote(module)} --list-slots` shows what it sees"


def _listed(found: Iterable[Token]) -> str:
    return " and ".join(each.uri for each in found)


def _run(module: str, words: list[str], pin: str | None = None) -> str:
    """Return what the tool prints; a PIN goes through its environment, which other users cannot read."""
    _check_is_file(module)
    login = ["--login", "--pin", f"env:{_PIN}"] if pin is not None else []
    variables = {**provider.variables(), **({_PIN: pin} if pin is not None else {})}
    try:
        done = processes.pipe([_TOOL, "--module", module, *login, *words], b"", variables, timeout_s=_TIMEOUT_S)
    except TedgeCertError as error:
        missing = f"; {INSTALL}" if "is not installed" in str(error) else ""
        raise UnreadableError(f"cannot look into the token: {error}{missing}") from error
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode < 0:
        raise UnreadableError(f"the PKCS#11 library {module} crashed (signal {-done.returncode}); update or replace it")
    if done.returncode:
        raise _fault(module, said)
    return done.stdout.decode("utf-8", "replace")


def _check_is_file(module: str) -> None:
    """Raise UnreadableError if there is no file at the path of a PKCS#11 library: loading a pipe would never end."""
    try:
        fault = "" if stat.S_ISREG(Path(module).stat().st_mode) else f"{module} is no file"
    except FileNotFoundError:
        fault = f"there is no PKCS#11 library at {module}"
    except OSError as error:
        fault = f"cannot get at the PKCS#11 library {module}: {error.strerror}"
    if fault:
        raise UnreadableError(
            f"{fault}; expected a PKCS#11 library: install its package, or "
            "`sudo tedge config set device.cryptoki.module_path FILE`"
        )


def _fault(module: str, said: str) -> UnreadableError:
    journal.debug(f"{_TOOL}: {said.strip()}")
    code = (re.findall(r"CKR_[A-Z0-9_]+", said) or [""])[0]
    if "C_Login" in said and code in _REFUSALS:
        return PinRefusedError(f"the token refused the PIN ({code})")
    if "load pkcs11 module" in said.lower() or "failed to load" in said.lower():
        return UnreadableError(
            f"{module} cannot be loaded as a PKCS#11 library (device.cryptoki.module_path); "
            f"`{_TOOL} --module {shlex.quote(module)} --show-info` says more"
        )
    if code in ("CKR_TOKEN_NOT_PRESENT", "CKR_DEVICE_REMOVED", "CKR_SLOT_ID_INVALID"):
        return UnreadableError(f"the token was removed while it was used ({code}); plug it in and try again")
    if "C_Initialize" in said:
        user = owners.name_of(os.geteuid())
        return UnreadableError(f"the PKCS#11 library {module} does not start as user {user} ({code}): {_hint(module)}")
    last = (said.strip().splitlines() or ["without a word"])[0].removeprefix("error: ")
    return UnreadableError(f"the token does not do what it was asked: {last}")
