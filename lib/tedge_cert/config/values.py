# SPDX-License-Identifier: Apache-2.0
"""Parse the values of configuration keys: text in, a value as TOML stores it out, or a ValueError that says why not.

The hourly check reads its settings through this module, so nothing slow is imported at the top.
"""

from tedge_cert.durations import duration_s, part_s

# Not from typing, which would cost the hourly check five milliseconds; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

Value = str | int | bool | list[str]


def parse_text(text: str) -> Value:
    return text


def parse_duration(text: str) -> Value:
    """Check a duration and keep it as it was written."""
    duration_s(text)
    return text


def parse_threshold(text: str) -> Value:
    """Check a duration, or a percentage of a certificate's lifetime, and keep it as it was written."""
    expected = (
        "expected a duration such as 30d, 12h, 1h 30m or 90 (seconds), or a percentage of the certificate's lifetime "
        "from 1% to 99%"
    )
    try:
        part = part_s(text, 100)
    except ValueError as error:
        raise ValueError(expected) from error
    if text.strip().endswith("%") and not 1 <= part <= 99:
        raise ValueError(expected)
    return text


def parse_path(text: str) -> Value:
    if not text.startswith("/"):
        raise ValueError("expected an absolute path")
    return text


def parse_host(text: str) -> Value:
    """Accept a host name or address, without scheme, port or path; leave out the dot at the end of a full name.

    The dot is right for a name server, but no certificate has it.
    """
    if is_ip(text[1:-1] if text[:1] + text[-1:] == "[]" else text):
        return text
    name = text.removesuffix(".")
    if _is_name(name):
        return name
    if name.rpartition(".")[2].isdecimal() and not name.strip("0123456789."):
        raise ValueError("expected an IP address with four numbers up to 255, or a host name")
    # What people paste: the address in the browser, or the endpoint with its port.
    rest = text.strip().rpartition("://")[2]
    nearest = rest.partition("/")[0].partition(":")[0].removesuffix(".")
    hint = f"; did you mean {nearest}?" if _is_name(nearest) or is_ip(nearest) else ""
    raise ValueError(f"expected a host name without scheme, port or path, such as example.cumulocity.com{hint}")


def _is_name(text: str) -> bool:
    """Return whether ``text`` is a host name (RFC 1123 §2.1, and underscores); a name in a domain has letters there."""
    allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    labels = text.split(".")
    return (
        len(text) <= 253
        and all(0 < len(each) <= 63 and not each.strip(allowed) for each in labels)
        and not text.startswith("-")
        and not ("." in text and labels[-1].isdecimal())
    )


def parse_endpoint(text: str) -> Value:
    """Accept a host, with or without a port."""
    host, _ = split_endpoint(text, 0)
    return f"{parse_host(host)}{text[len(host) :]}"


def split_endpoint(text: str, default_port: int) -> tuple[str, int]:
    """Return host and port of ``host``, ``host:port`` or ``[v6]:port``; raises ValueError."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        if rest and not rest.startswith(":"):
            raise ValueError(f"expected a port number after the address, got {rest!r}")
        return host + bracket, int(parse_port(rest[1:])) if rest else default_port  # type: ignore[arg-type]
    host, colon, port = text.partition(":")
    return host, int(parse_port(port)) if colon else default_port  # type: ignore[arg-type]


def bracketed(host: str) -> str:
    """Return a host as it stands before a port: an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def parse_port(text: str) -> Value:
    if not text.isdecimal() or not 0 <= int(text) <= 65_535:
        raise ValueError(f"expected a port number from 0 to 65535, got {text!r}")
    return int(text)


def parse_ip(text: str) -> Value:
    """Accept an address, and return it as it is usually written: ``::1`` for ``0:0:0:0:0:0:0:1`` (RFC 5952)."""
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, text))
        except OSError:
            continue
    raise ValueError("expected an IP address")


def parse_flag(text: str) -> Value:
    if text not in ("true", "false"):
        raise ValueError("expected true or false")
    return text == "true"


def parse_list(text: str) -> Value:
    """Split names at commas."""
    return [each.strip() for each in text.split(",") if each.strip()]


def one_of(*choices: str) -> "Callable[[str], Value]":
    """Make the parser of a key that takes one of a few words."""

    def parse(text: str) -> Value:
        # Files of earlier versions have capitals: Legacy, KeepOld.
        if text.lower() not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text.lower()

    return parse


def parse_auth_method(text: str) -> Value:
    """Accept how the device authenticates; ``password`` is another word for ``basic``."""
    if text not in ("certificate", "basic", "password", "auto"):
        raise ValueError("expected one of certificate, basic, auto")
    return "basic" if text == "password" else text


def parse_device_id(text: str) -> Value:
    """Accept a device id that Cumulocity allows as common name and MQTT client id."""
    if not text:
        raise ValueError("a device id cannot be empty")
    if len(text) > 64:
        raise ValueError(f"a device id has at most 64 characters, this one {len(text)}")
    if odd_characters(text):
        raise ValueError(f"a device id has only the characters {IN_ID}")
    return text


IN_ID = "A-Z a-z 0-9 ' = ( ) , - . ? % * _ ! @"


def odd_characters(text: str) -> str:
    """Return the characters that no device id should have, each once."""
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'=(),-.?%*_!@"
    return "".join(dict.fromkeys(each for each in text if each not in allowed))


def is_profile(text: str) -> bool:
    """Return whether a cloud profile can have this name."""
    plain = text.replace("-", "").replace("_", "")
    return plain.isascii() and plain.isalnum()


def to_text(value: Value) -> str:
    """Return a value as ``tedge config get`` prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(f'"{each}"' for each in value) + "]"
    return str(value)


def is_ip(text: str) -> bool:
    """Return whether this is an IP address, without brackets."""
    try:
        parse_ip(text)
    except ValueError:
        return False
    return True
