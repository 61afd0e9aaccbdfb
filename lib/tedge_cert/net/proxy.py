# SPDX-License-Identifier: Apache-2.0
"""The HTTP proxy of the device (proxy.*): it carries HTTPS in a tunnel (CONNECT, RFC 9110 §9.3.6), and only that."""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tedge_cert.config.settings import Config
from tedge_cert.config.values import split_endpoint, to_text
from tedge_cert.net.authorization import basic


@dataclass(frozen=True)
class Proxy:
    """The address of a proxy, and the headers that say who asks; no text made of this contains them."""

    address: str
    headers: dict[str, str] = field(repr=False)

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host, an IPv6 address without brackets, and port."""
        parts = urlsplit(self.address)
        return parts.hostname or "", parts.port or 80

    @property
    def speaks_tls(self) -> bool:
        """Whether the connection to the proxy itself is TLS."""
        return self.address.startswith("https:")

    def explain(self, reason: str) -> str:
        """Say what a person does when the proxy made no tunnel; ``reason`` is worded by the HTTP library."""
        name = f"the proxy {self.address} (proxy.address)"
        if " 407" in reason:
            if self.headers:
                return f"{name} does not accept proxy.username with proxy.password (407)"
            return f"{name} asks for a user (407): set proxy.username and proxy.password"
        if "Tunnel connection failed:" in reason:
            status = reason.partition("Tunnel connection failed:")[2].strip()
            return f"{name} made no tunnel ({status}): ask its operator to allow the host and its port"
        return f"{name} cannot be reached: {reason}; check it, or name the host in proxy.no_proxy"


def for_host(config: Config, endpoint: str) -> Proxy | None:
    """Return the proxy on the way to ``endpoint`` (host, host:port); None if the device connects directly."""
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
    """Tell whether one of the comma-separated names covers the host.

    A name covers itself and the names below it, an address or network (``10.0.0.0/8``) its addresses, ``*`` all.
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
