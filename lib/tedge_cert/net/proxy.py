# SPDX-License-Identifier: Apache-2.0
"""The HTTP proxy of the device (proxy.*): it carries HTTPS in a tunnel (CONNECT, RFC 9110 §9.3.6), and only that."""

import ipaddress
from dataclasses import dataclass, field

from tedge_cert.config.values import split_endpoint
from tedge_cert.net.authorization import basic


@dataclass(frozen=True)
class Proxy:
    """The address of a proxy, and the headers that authenticate to it, which ``repr`` leaves out."""

    address: str
    headers: dict[str, str] = field(repr=False)

    @property
    def speaks_tls(self) -> bool:
        """Whether the connection to the proxy itself is TLS."""
        return self.address.startswith("https:")

    def explain(self, reason: str) -> str:
        """Explain that the proxy made no tunnel, and what to check; ``reason`` is text of the HTTP library."""
        name = f"the proxy {self.address} (proxy.address)"
        if " 407" in reason:
            if self.headers:
                return f"{name} does not accept proxy.username with proxy.password (407)"
            return f"{name} asks for a user (407): set proxy.username and proxy.password"
        if "Tunnel connection failed:" in reason:
            status = reason.partition("Tunnel connection failed:")[2].strip()
            return f"{name} made no tunnel ({status}): ask its operator to allow the host and its port"
        return f"{name} cannot be reached: {reason}; check it, or name the host in proxy.no_proxy"


def proxy_for(
    endpoint: str, address: str, exceptions: str = "", username: str | None = None, password: str | None = None
) -> Proxy | None:
    """Return the proxy on the way to the host of ``endpoint`` (host, host:port); None for one of the ``exceptions``.

    These are names with commas between them.
    """
    if _is_excepted(endpoint, exceptions):
        return None
    headers = {} if username is None else basic(username, password or "", "Proxy-Authorization")
    return Proxy(address, headers)


def _is_excepted(endpoint: str, exceptions: str) -> bool:
    """Return whether one of the names covers the host.

    A name covers itself and the names below it, an address or network (``10.0.0.0/8``) its addresses, ``*`` all.
    """
    host = split_endpoint(endpoint, 0)[0].strip("[]").lower().rstrip(".")
    return any(_covers(each.strip().lower(), host) for each in exceptions.split(",") if each.strip())


def _covers(name: str, host: str) -> bool:
    try:
        network = ipaddress.ip_network(name.strip("[]"), strict=False)
        return ipaddress.ip_address(host) in network
    except ValueError:
        name = name.removeprefix("*.").strip(".") or name
        return name in ("*", host) or host.endswith(f".{name}")
