# SPDX-License-Identifier: Apache-2.0
"""Describe each configuration key: type, default, derivation, documentation, example.

This file has the few keys that the hourly check reads; ``table`` has all keys and is imported only where they are
needed. The classes are plain, because ``dataclasses`` would cost the hourly check 10 ms.
"""

from tedge_cert.config import values
from tedge_cert.errors import UnknownKeyError

# Not from typing, which would cost the hourly check five milliseconds; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CLOUDS = {"c8y": "Cumulocity", "az": "Azure", "aws": "Aws"}
"""The clouds as they are typed, and their names. A profile can have its own value for each key of a cloud."""
HERE = "{directory}"
"""Stands in a default for the directory of the configuration, /etc/tedge."""


def flat(name: str) -> str:
    """Return what all spellings of a key have in common.

    Earlier versions had ``_`` where there are groups now, variables have nothing else, and ``az`` was ``azure``.
    """
    name = name.replace(".", "_")
    return f"az{name[5:]}" if name.startswith("azure_") or name == "azure" else name


class Key:
    """One configuration key.

    ``parse`` checks a text and returns the value as TOML stores it. ``default`` is the value of an unset key. An unset
    key takes the value of the first key in ``follows`` that has one, and an endpoint without a port gets ``port``.
    ``old`` are the names of the key in earlier versions of thin-edge, where other words were used: ``flat`` knows the
    others. ``note`` is what the manual adds to ``doc``, where ``doc`` has the words of thin-edge.
    """

    __slots__ = ("_parse", "default", "doc", "example", "follows", "note", "old", "port")

    def __init__(
        self,
        parse: "Callable[[str], values.Value]",
        default: values.Value | None,
        doc: str,
        example: str,
        follows: tuple[str, ...] = (),
        port: int = 0,
        old: tuple[str, ...] = (),
        note: str = "",
    ) -> None:
        self._parse = parse
        self.default = default
        self.doc = doc
        self.example = example
        self.follows = follows
        self.port = port
        self.old = old
        self.note = note

    @property
    def is_path(self) -> bool:
        return self._parse.__name__ in ("parse_path", "parse_plain_path")

    def parse(self, text: str) -> values.Value:
        """Check ``text``; raises ValueError.

        It allows no line break, because root writes values into files for the broker.
        """
        if not text.isprintable():
            raise ValueError("expected text without line breaks and other control characters")
        return self._parse(text)

    def of_variable(self, text: str) -> values.Value:
        """Check the text of a variable: plain, or a text or a list as TOML writes them; raises ValueError."""
        if text.startswith(('"', "[")):
            import tomllib

            try:
                return self.typed(tomllib.loads(f"value = {text}")["value"])
            except ValueError:
                # An address in brackets begins in this way too, and what fits neither is told as it was written.
                pass
        return self.parse(text)

    def typed(self, value: object) -> values.Value:
        """Check a value as TOML has it; raises a ValueError whose text continues after the name of the key."""
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            text = ",".join(value)
        elif isinstance(value, bool | str | int):
            text = values.to_text(value)
        else:
            raise ValueError("has a value of the wrong type")
        try:
            checked = self.parse(text)
        except ValueError as error:
            raise ValueError(f"= {text!r}: {error}") from error
        if isinstance(checked, list) and isinstance(value, list):
            return value
        # The type must be the key's own, except that a duration may be a number or text, and a list may be text.
        is_duration = self._parse in (values.parse_duration, values.parse_threshold)
        listed = isinstance(checked, list) and isinstance(value, str)
        if type(checked) is not type(value) and not is_duration and not listed:
            kinds = {bool: "true or false", int: "a number", str: "text in quotes", list: "a list"}
            raise ValueError(f"is {kinds[type(value)]}, expected {kinds[type(checked)]}")
        return checked

    def default_in(self, directory: str) -> values.Value | None:
        """Return the default, for a configuration in ``directory``."""
        return self.default.replace(HERE, directory) if isinstance(self.default, str) else self.default


def cert_path_of(cloud: str) -> Key:
    return _path_of_cloud("device.cert_path", f"Certificate for {cloud}, followed by its chain.", f"{cloud}.pem")


def key_path_of(cloud: str) -> Key:
    return _path_of_cloud("device.key_path", f"Private key for {cloud}.", f"{cloud}-key.pem")


_BY_LIBRARY = "It takes device.cryptoki.mode module; `sudo tedge hsm create-key` makes the key and sets this."
PIN_IN_CLEAR = "Every user of the device can read this setting: device.cryptoki.pin_path names a file instead."


def key_uri_of(cloud: str) -> Key:
    doc = f"PKCS#11 URI (RFC 7512) of the private key for {cloud}."
    return Key(values.parse_text, None, doc, f"pkcs11:token=gateway;object={cloud}", note=_BY_LIBRARY)


def csr_path_of(cloud: str) -> Key:
    return _path_of_cloud("device.csr_path", f"The last certificate signing request for {cloud}.", f"{cloud}.csr")


def _path_of_cloud(of_device: str, doc: str, example: str) -> Key:
    """Describe a path that defaults to the path of the device."""
    return Key(values.parse_path, None, doc, f"/etc/tedge/device-certs/{example}", (of_device,))


HOURLY: dict[str, Key] = {
    "certificate.validity.minimum_duration": Key(
        values.parse_threshold,
        "30d",
        "Minimum validity duration below which a new certificate should be requested. \n"
        "Note: This is an advisory setting and the renewal has to be scheduled",
        "30d",
        note="A duration (a bare number is seconds), or a percentage of the lifetime of the certificate, such as 20%. "
        "Take at least three times the longest time that the device is offline, and no less than three hours.",
    ),
    "device.cert_path": Key(
        values.parse_path,
        f"{HERE}/device-certs/tedge-certificate.pem",
        "Certificate of the device, followed by its chain.",
        "/etc/tedge/device-certs/tedge-certificate.pem",
    ),
    "c8y.device.cert_path": cert_path_of("c8y"),
    "device.key_path": Key(
        values.parse_path,
        f"{HERE}/device-certs/tedge-private-key.pem",
        "Private key of the device.",
        "/etc/tedge/device-certs/tedge-private-key.pem",
    ),
    "c8y.device.key_path": key_path_of("c8y"),
    "device.csr_path": Key(
        values.parse_path,
        f"{HERE}/device-certs/tedge.csr",
        "The last certificate signing request.",
        "/etc/tedge/device-certs/tedge.csr",
    ),
    "c8y.device.csr_path": csr_path_of("c8y"),
    "device.key_uri": Key(
        values.parse_text,
        None,
        "PKCS#11 URI (RFC 7512) of a private key that lies in a security module.",
        "pkcs11:token=gateway;object=device-key",
        note=_BY_LIBRARY,
    ),
    "c8y.device.key_uri": key_uri_of("c8y"),
    "device.cryptoki.mode": Key(
        values.one_of("off", "module", "socket"),
        "off",
        "Whether the private key lies in a security module, and how it is reached: off (the key is a file), module "
        "(a PKCS#11 library), socket (a signing service of thin-edge).",
        "off",
        note="With socket, commands that need the key refuse to work: mosquitto and OpenSSL load a library.",
    ),
    "c8y.auth_method": Key(
        values.parse_auth_method,
        "certificate",
        "How the device proves who it is: certificate, basic (user and password), or auto (basic where the file "
        "c8y.credentials_path exists).",
        "certificate",
    ),
    "c8y.credentials_path": Key(
        values.parse_path,
        f"{HERE}/credentials.toml",
        "File with user and password for basic authentication: username, password, and host (the tenant that the "
        "password is for) in the table [c8y].",
        "/etc/tedge/credentials.toml",
    ),
}


def find(name: str) -> Key:
    """Return the key ``name``; raises UnknownKeyError if there is no such key."""
    if name in HOURLY:
        return HOURLY[name]
    from tedge_cert.config.keys.table import KEYS, nearest

    if name not in KEYS:
        hint = f"{nearest(name)} (`tedge config list --all` shows all keys)"
        raise UnknownKeyError(f"unknown configuration key '{name}'{hint}")
    return KEYS[name]
