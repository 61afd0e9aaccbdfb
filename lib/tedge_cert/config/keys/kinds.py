# SPDX-License-Identifier: Apache-2.0
"""Parse values that no hourly check reads: text in, a value as TOML stores it out, or a ValueError."""

from tedge_cert.config.values import Value, bracketed, parse_host, parse_port

# RFC 7030 §3.2.2.
EST_PATH = "/.well-known/est"
EST_OPERATIONS = ("cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs")
# MQTT 3.1.1 §2.2.3: the remaining length of a packet has 28 bits.
LARGEST_PAYLOAD = 268_435_455
# RFC 3986 §3.3.
_IN_PATH = "%/:@!$&'()*+,;=-._~"


def parse_count(text: str) -> Value:
    """Accept a whole number of 32 bits."""
    if not (text.isascii() and text.isdecimal()) or int(text) >= 1 << 32:
        raise ValueError(f"expected a whole number below {1 << 32}, got {text!r}")
    return int(text)


def parse_payload_size(text: str) -> Value:
    """Accept a number of bytes that an MQTT packet can carry."""
    size = parse_count(text)
    if not isinstance(size, int) or not 0 < size <= LARGEST_PAYLOAD:
        raise ValueError(f"expected a number of bytes from 1 to {LARGEST_PAYLOAD}, got {text!r}")
    return size


def parse_broker_port(text: str) -> Value:
    """Accept a port that clients must find, so not 0."""
    if parse_port(text) == 0:
        raise ValueError("expected a port number from 1 to 65535, got '0'")
    return int(text)


def parse_topic_prefix(text: str) -> Value:
    """Accept one or more levels of an MQTT topic, without wildcards."""
    if not text or "#" in text or "+" in text:
        raise ValueError("expected a topic without the wildcards # and +")
    return text


def parse_prefix(text: str) -> Value:
    """Accept the local prefix of a bridge's topics."""
    parse_topic_prefix(text)
    if text == "c8y-internal":
        raise ValueError("expected another prefix: thin-edge uses this one itself")
    return text


def parse_topic_id(text: str) -> Value:
    """Accept the identifier of an entity: four levels of a topic; some may be empty."""
    if text.count("/") != 3 or not text.strip("/") or "#" in text or "+" in text:
        raise ValueError("expected four levels without wildcards, such as device/main//")
    return text


def parse_proxy(text: str) -> Value:
    """Return the address of an HTTP proxy, completed with scheme and port."""
    example, user = "such as http://proxy.example.com:3128", "set proxy.username and proxy.password"
    scheme, host, port, _ = _address(text, ("http", "https"), example, user)
    usual = 443 if scheme == "https" else 80
    return f"{scheme}://{host}:{usual if port is None else port}"


def parse_est_url(text: str) -> Value:
    """Return the address of an EST server up to the operation; a host alone is completed by the usual path."""
    from urllib.parse import quote

    example = "that begins with https://, such as https://est.example.com/.well-known/est"
    _, host, port, path = _address(text, ("https",), example, "est.username names one")
    if "?" in text or "#" in text:
        raise ValueError(f"expected no ? and no # in the address {example}")
    path = path.rstrip("/") or EST_PATH
    start, _, last = path.rpartition("/")
    if last in EST_OPERATIONS:
        raise ValueError(f"expected the address before the operation: leave out /{last}, so that it ends in {start}")
    if quote(path, safe=_IN_PATH) != path:
        raise ValueError(f"expected a path without blanks and other characters that no address has, {example}")
    return f"https://{host}{'' if port in (None, 443) else f':{port}'}{path}"


def _address(text: str, schemes: tuple[str, ...], example: str, user: str) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port and path of an address, whose scheme may be left out; raises ValueError.

    ``user`` says where the user goes, who is not to be in it.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text if "://" in text else f"{schemes[0]}://{text}")
        port = parts.port
    except ValueError as error:
        raise ValueError(f"expected an address {example} ({error})") from error
    if "@" in parts.netloc:
        raise ValueError(f"expected no user in the address: {user}")
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"expected an address {example}")
    return parts.scheme, str(parse_host(bracketed(parts.hostname))), port, parts.path


def parse_username(text: str) -> Value:
    """Accept the user of HTTP Basic (RFC 7617 §2)."""
    if not text or ":" in text:
        raise ValueError("expected a user name without a colon, which HTTP Basic excludes")
    return text


def parse_tcti(text: str) -> Value:
    """Accept a name of a TCTI with its configuration, which root writes into the environment of mosquitto.

    mosquitto of Debian 12 and 13 starts as root and opens the TPM before it becomes another user: so no TCTI that runs
    a program (``cmd``), and no device where others than root could put a link.
    """
    name, _, rest = text.partition(":")
    if not (name.isascii() and name.isalnum()) or not all(
        each.isascii() and (each.isalnum() or each in "/_.,=:-") for each in rest
    ) or name == "cmd" or (name == "device" and rest and not _is_device(rest)):  # fmt: skip
        raise ValueError(f"expected a TCTI such as device:/dev/tpmrm0 or tabrmd, got {text!r}")
    return text


def _is_device(path: str) -> bool:
    parts = path.split("/")
    return parts[:2] == ["", "dev"] and parts[2:3] not in ([""], ["shm"], ["mqueue"]) and not {".", ".."} & {*parts}


def parse_plain_path(text: str) -> Value:
    """Accept an absolute path that root may write into files of OpenSSL and systemd, where other characters act."""
    if not text.startswith("/") or not all(each.isascii() and (each.isalnum() or each in "/_.,+@=-") for each in text):
        raise ValueError("expected an absolute path of letters, digits and /_.,+@=-")
    return text


def parse_pin(text: str) -> Value:
    """Accept the PIN of a token, which root may write into a file."""
    if not text or not text.isprintable():
        raise ValueError("expected a PIN of printable characters")
    return text
