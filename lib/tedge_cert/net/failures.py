# SPDX-License-Identifier: Apache-2.0
"""Say why a connection failed in words for a person, not in those of a library."""

import os
import socket
import ssl

# By name: http.client takes 8 ms to import, and most steps speak no HTTP.
_WORDS = {
    "ssl.SSLZeroReturnError": "it closed the connection and gave no reason",
    "ssl.SSLEOFError": "it closed the connection and gave no reason",
    "http.client.RemoteDisconnected": "it closed the connection without an answer",
    "http.client.IncompleteRead": "the answer was cut off",
    "http.client.HTTPException": "what answers there does not speak HTTP",
}


def innermost(error: BaseException) -> BaseException:
    """Return the cause that a person can act on: libraries wrap it, also as an argument."""
    while True:
        context = None if error.__suppress_context__ else error.__context__
        wrapped = next((each for each in error.args if isinstance(each, BaseException)), None)
        inner = error.__cause__ or context or getattr(error, "reason", None) or wrapped
        if not isinstance(inner, BaseException):
            return error
        error = inner


def reason_of(error: BaseException) -> str:
    """Return why a connection failed; the text follows the name of the server."""
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    words = next((_WORDS[name] for name in names if name in _WORDS), "")
    if isinstance(error, ssl.SSLError):
        # Without the place in OpenSSL's source.
        words = words or (error.reason or "no reason given").replace("_", " ").lower()
    elif isinstance(error, socket.gaierror):
        words = f"its name cannot be looked up ({error.strerror})"
    elif isinstance(error, OSError) and error.errno and not words:
        words = error.strerror or os.strerror(error.errno)
    elif isinstance(error, TimeoutError) and "timed out" in str(error):
        words = "nothing came in time"
    elif type(error).__module__.startswith("urllib3"):
        words = words or f"its answer cannot be read ({type(error).__name__})"
    return words or str(error) or type(error).__name__
