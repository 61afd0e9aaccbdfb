# SPDX-License-Identifier: Apache-2.0
"""The server of an HTTPS request: its address, trust anchors and proxy. Imports no HTTP library."""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tedge_cert.net.anchors import Trust
from tedge_cert.net.proxy import Proxy

# Characters of a path that are sent unchanged: RFC 3986 §3.3 and §3.4, and "%", which begins an encoded one.
UNTOUCHED = "%/:?@!$&'()*+,;=-._~"


@dataclass(frozen=True)
class Server:
    """``host`` is a host or ``host:port``, ``setting`` the name of the setting that says so."""

    host: str
    trust: Trust
    setting: str
    proxy: Proxy | None = None

    @property
    def name(self) -> str:
        """The name or address that the server's certificate has to prove."""
        return urlsplit(f"//{self.host}").hostname or ""

    @property
    def elsewhere(self) -> str:
        """Advice for an answer that the right server would not give."""
        return f"check that {self.setting} names the right server, and that no portal or proxy answers in its place"

    def url_of(self, path: str) -> str:
        """Return the URL of ``path``: characters that need it are percent-encoded, encoded ones stay as they are."""
        return f"https://{self.host}{quote(path, safe=UNTOUCHED)}"
