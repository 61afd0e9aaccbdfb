# SPDX-License-Identifier: Apache-2.0
"""The small library that the executables of tedge-cert-renewer share: one subject per module."""

import os

# The HTTP library would write the secrets of TLS to this file, and opens it when it is imported.
os.environ.pop("SSLKEYLOGFILE", None)
