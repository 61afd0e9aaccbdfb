# SPDX-License-Identifier: Apache-2.0
"""Import ``requests`` without what it brings along and no request here uses.

The system's default trust anchors: version 2.32 (Debian 13) loads them while it is imported, and fails where they are
missing or broken. Every request here brings its own anchors (``net/tls.py``).

The libraries that guess in which encoding a text is: fifty modules. Nothing here asks for ``Response.text``.
"""

import sys
from types import ModuleType

# It takes the real function before that is replaced.
import urllib3.connection  # noqa: F401
from urllib3.util import ssl_

__all__ = ["HTTPAdapter", "requests"]


def _no_context() -> None:
    """Stand in for the context with the default anchors; ``requests`` goes without one for this error."""
    raise ImportError("no default anchors are wanted")


_taken = ssl_.create_urllib3_context
# ``requests`` wants one of the two libraries, in a version that it knows. None is how a module is said to be missing
# (import statement in the Python reference).
_chardet = ModuleType("chardet", "No guess.")
vars(_chardet)["__version__"] = "5.0.0"
_guesses: dict[str, ModuleType | None] = {"chardet": _chardet, "charset_normalizer": None}
_modules: dict[str, ModuleType | None] = vars(sys)["modules"]
_stand_ins = {name: module for name, module in _guesses.items() if name not in _modules}
try:
    vars(ssl_)["create_urllib3_context"] = _no_context
    _modules.update(_stand_ins)
    import requests
    from requests.adapters import HTTPAdapter
finally:
    vars(ssl_)["create_urllib3_context"] = _taken
    for _name in _stand_ins:
        del _modules[_name]
