# SPDX-License-Identifier: Apache-2.0
"""The small library that the executables of tedge-cert-renewer share: one subject per module."""

import posix

# The HTTP library would write the secrets of TLS to this file, and opens it when it is imported.
if b"SSLKEYLOGFILE" in posix.environ:
    # Only then, because the hourly check does without this module, which costs a quarter of an interpreter.
    import os

    os.environ.pop("SSLKEYLOGFILE", None)

VERSION = "0.2.0"
