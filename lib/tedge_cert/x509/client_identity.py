# SPDX-License-Identifier: Apache-2.0
"""Show the certificate of the device to a server; a key in hardware is looked at first, so that a fault has a name."""

from pathlib import Path

from tedge_cert.errors import CertificateError, UnreadableError
from tedge_cert.net import tls
from tedge_cert.net.anchors import Trust
from tedge_cert.net.tls import ClientContext
from tedge_cert.x509 import hardware_keys


def client_context(trust: Trust, certificate: Path, key: Path) -> ClientContext:
    """Make a context as ``tls.client_context`` does, with the words of ``hardware_keys`` for a key in hardware.

    OpenSSL's own words do not tell the causes apart, and it would try a wrong PIN several times.
    """
    content = hardware_keys.content_at(key)
    hardware_keys.unlock(key, content)
    try:
        return tls.client_context(trust, certificate, key)
    except CertificateError as error:
        is_in_token = hardware_keys.kind_in(content) == hardware_keys.TOKEN
        if is_in_token and (why := hardware_keys.why_no_token(key)):
            raise UnreadableError(f"cannot use the private key {key}: {why}") from error
        raise
