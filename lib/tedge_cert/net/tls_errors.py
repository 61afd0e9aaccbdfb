# SPDX-License-Identifier: Apache-2.0
"""Explain why TLS with a server failed, in words that a person can act on."""

import os
import ssl
import time

from tedge_cert.net.anchors import Trust
from tedge_cert.net.failures import reason_of
from tedge_cert.times import minute_utc

# X509_V_ERR_…: openssl-verification-options(1), x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAME = (9,), (10,), (62, 64)
# OpenSSL's reasons for a server that does not speak TLS, and for a message that is too long.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")
_TOO_LONG = ("EXCESSIVE_MESSAGE_SIZE", "LENGTH_TOO_LONG")
_NO_REASON = ("HANDSHAKE_FAILURE", "UNEXPECTED_EOF_WHILE_READING", "UNEXPECTED_EOF")
_REASONS = {
    **dict.fromkeys(
        _NO_TLS, "it does not speak TLS there: check the port, and that no portal or proxy answers in its place"
    ),
    **dict.fromkeys(
        _NO_REASON,
        "it ended the handshake and gave no reason: it may not want this certificate, or no version or cipher is "
        "common to both; see its log, and the certificate by `tedge cert show`",
    ),
    # OpenSSL looks at the place of a message before its length.
    "UNEXPECTED_MESSAGE": (
        "its handshake has a message out of place, which can be one that is too long: check the port, and that no "
        "portal or proxy answers in its place; then its operator has to see to its chain or list of authorities"
    ),
    "CERTIFICATE_REQUIRED": "it asks for a certificate, and none is shown here: check the port",
}


_WITHOUT_CERTIFICATE = dict.fromkeys(
    _NO_REASON,
    "it ended the handshake and gave no reason: no version or cipher may be common to both; check the port, and see "
    "its log",
)


# What a server says that finds no key exchange in common.
_OF_NO_GROUP = ("HANDSHAKE_FAILURE", "ILLEGAL_PARAMETER")
_LIMITS_OF_TPM = (
    "it ended the handshake: with a private key in the TPM, Debian 12 can TLS 1.3 with X25519 only, which this server "
    "may not offer. Upgrade to Debian 13, or use the TPM as a token: `sudo apt install libtpm2-pkcs11-1 "
    "libtpm2-pkcs11-tools && sudo apt install -t bookworm-backports pkcs11-provider`, and go on as "
    "tedge-cert-renewer(7) says"
)


def _is_limited_by_tpm() -> bool:
    """Return whether this process has OpenSSL 3.0 prefer the TPM: the provider of that time knows no curve of NIST."""
    return ssl.OPENSSL_VERSION_INFO < (3, 1) and "TPM2OPENSSL_TCTI" in os.environ


def explain(error: ssl.SSLError, server: str, trust: Trust, shows_certificate: bool = True) -> str:
    """Explain why TLS with ``server`` failed; ``trust`` are the anchors that verified it.

    ``shows_certificate`` is whether the connection has a certificate of ours, which may then be the reason.
    For a certificate that is not accepted the text stands by itself. Any other text follows the name of the server.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, server, trust)
    closed = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    reason = error.reason or ("UNEXPECTED_EOF" if closed else "")
    alert = reason.partition("ALERT_")[2]
    if reason in _TOO_LONG:
        return (
            f"it sends more in its handshake than TLS here takes ({reason.replace('_', ' ').lower()}), a very "
            "long chain or list of authorities: its operator has to shorten that"
        )
    if (alert or reason) in _OF_NO_GROUP and _is_limited_by_tpm():
        return _LIMITS_OF_TPM
    words = None if shows_certificate else _WITHOUT_CERTIFICATE.get(alert or reason)
    words = words or _REASONS.get(alert or reason)
    if words is None and alert:
        words = f"it ended TLS by the alert {alert.replace('_', ' ').lower()}: see its log"
    return words or f"no TLS: {reason_of(error)}"


def _untrusted(error: ssl.SSLCertVerificationError, server: str, trust: Trust) -> str:
    said, code = error.verify_message, error.verify_code
    clock = f"the clock of this device, which says {minute_utc(time.time())}, is wrong"
    if code in _EXPIRED:
        return f"the certificate of {server} has expired: its operator has to renew it, unless {clock}"
    if code in _NOT_YET_VALID:
        return f"the certificate of {server} is not valid yet: probably {clock}"
    if code in _OTHER_NAME:
        return (
            f"the certificate of {server} is for another name ({said}): check the host that is configured, and that "
            "nothing answers in its place"
        )
    return (
        f"{server} is not trusted ({said}): set {trust.setting} ({trust.path}) to the file or directory with the root "
        "certificate of that server"
    )
