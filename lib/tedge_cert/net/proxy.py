# SPDX-License-Identifier: Apache-2.0
"""The HTTP proxy of the device (proxy.*): for HTTPS by a tunnel (CONNECT, RFC 9110 §9.3.6), for nothing else."""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tedge_cert.config.settings import Config
from tedge_cert.config.values import split_endpoint, to_text
from tedge_cert.net.authorization import basic


@dataclass(frozen=True)
class Proxy:
    """Where it is, and what it is told of who asks; that is in no text made of it."""

    address: str
    headers: dict[str, str] = field(repr=False)

    @property
    def endpoint(self) -> tuple[str, int]:
        """Its host, an IPv6 address bare, and its port."""
        parts = urlsplit(self.address)
        return parts.hostname or "", parts.port or 80

    @property
    def speaks_tls(self) -> bool:
        """Whether the connection to the proxy itself is TLS."""
        return self.address.startswith("https:")

    def explain(self, reason: str) -> str:
        """What a person does when the proxy made no tunnel, for ``reason`` as the HTTP library words it."""
        name = f"the proxy {self.address} (proxy.address)"
        if " 407" in reason:
            if self.headers:
                return f"{name} does not accept proxy.username with proxy.password (407)"
            return f"{name} wants to know who asks (407): set proxy.username and proxy.password"
        if "Tunnel connection failed:" in reason:
            status = reason.partition("Tunnel connection failed:")[2].strip()
            return f"{name} made no tunnel ({status}): ask who runs it to allow the host and its port"
        return f"{name} cannot be reached: {reason}; check it, or name the host in proxy.no_proxy"


def for_host(config: Config, endpoint: str) -> Proxy | None:
    """The proxy by which the host of ``endpoint`` (host, host:port) is reached; None if that is done directly."""
    address = config.get("proxy.address")
    if address is None or _is_excepted(endpoint, config.get("proxy.no_proxy")):
        return None
    username, password = (config.get(f"proxy.{each}") for each in ("username", "password"))
    headers: dict[str, str] = {}
    if username is not None:
        said = basic(to_text(username), "" if password is None else to_text(password))
        headers = {"Proxy-Authorization": said["Authorization"]}
    return Proxy(to_text(address), headers)


def _is_excepted(endpoint: str, exceptions: object) -> bool:
    """Whether one of the names with commas between them covers the host.

    A name covers itself and what lies below it, an address or network (``10.0.0.0/8``) its addresses, ``*`` all.
    """
    host = split_endpoint(endpoint, 0)[0].strip("[]").lower().rstrip(".")
    names = exceptions if isinstance(exceptions, str) else ""
    return any(_covers(each.strip().lower(), host) for each in names.split(",") if each.strip())


def _covers(name: str, host: str) -> bool:
    try:
        network = ipaddress.ip_network(name.strip("[]"), strict=False)
        return ipaddress.ip_address(host) in network
    except ValueError:
        name = name.removeprefix("*.").strip(".") or name
        return name in ("*", host) or host.endswith(f".{name}")
