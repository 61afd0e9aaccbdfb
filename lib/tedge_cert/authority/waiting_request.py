# SPDX-License-Identifier: Apache-2.0
"""Keep a request that waits for approval: the authority wants the same one again (RFC 7030 §4.2.3)."""

from pathlib import Path

from tedge_cert.disk import files, owners
from tedge_cert.x509 import requests


def same(path: Path, csr: bytes) -> bytes:
    """Return the request kept at ``path`` if it asks for the same as ``csr``, otherwise ``csr``; both in DER."""
    try:
        kept = files.read_regular(path)
    except OSError:
        return csr
    return kept if requests.asks_the_same(kept, csr) else csr


def public_key(path: Path) -> bytes:
    """Return the public key of the request kept at ``path``; empty if there is none that can be read."""
    try:
        return requests.public_key_in(files.read_regular(path))
    except OSError:
        return b""


def keep(path: Path, csr: bytes) -> None:
    """Keep the request in DER; raises TedgeCertError."""
    # It may hold a one-time password.
    files.write_state(path, csr, owners.SECRET)


def end(path: Path) -> None:
    """Forget the request: it is answered. Raises TedgeCertError."""
    files.remove(path)
