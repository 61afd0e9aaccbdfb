# SPDX-License-Identifier: Apache-2.0
"""Import ``requests`` without the system's default trust anchors, which no request here uses.

Version 2.32 (Debian 13) loads them while it is imported, and fails where they are missing or broken. Every request
here brings its own anchors (``net/tls.py``).
"""

# It takes the real function before that is replaced.
import urllib3.connection  # noqa: F401
from urllib3.util import ssl_

__all__ = ["HTTPAdapter", "requests"]


def _no_context() -> None:
    """Stand in for the context with the default anchors; ``requests`` goes without one for this error."""
    raise ImportError("no default anchors are wanted")


_taken = ssl_.create_urllib3_context
try:
    vars(ssl_)["create_urllib3_context"] = _no_context
    import requests
    from requests.adapters import HTTPAdapter
finally:
    vars(ssl_)["create_urllib3_context"] = _taken
