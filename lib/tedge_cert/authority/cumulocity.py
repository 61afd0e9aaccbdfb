# SPDX-License-Identifier: Apache-2.0
"""Ask Cumulocity's certificate authority for a certificate, and explain its refusals."""

from collections.abc import Callable

from cryptography import x509

from tedge_cert import cures
from tedge_cert.authority import est_wire
from tedge_cert.config.credentials import Credentials
from tedge_cert.net import https
from tedge_cert.net.authorization import basic
from tedge_cert.net.server import Server
from tedge_cert.tenant import rest


def enrol(server: Server, device_id: str, password: str, csr: bytes) -> list[x509.Certificate]:
    """Ask for the first certificate of a device with its one-time password.

    Raises NoAnswerError without an answer, RequestRefusedError for any answer without certificates.
    """
    answer = https.ask(server, est_wire.request_of(est_wire.ENROL, csr, basic(device_id, password)))
    return est_wire.certificates_in(answer, advice(server, device_id))


def reenrol(
    server: Server, get_credential: Callable[[bool], str | Credentials], csr: bytes, device_id: str = ""
) -> list[x509.Certificate]:
    """Ask for a further certificate with a token (or user and password); raises as ``enrol`` does."""
    answer = rest.as_device(server, est_wire.request_of(est_wire.REENROL, csr), get_credential)
    return est_wire.certificates_in(answer, advice(server, device_id))


def advice(server: Server, device_id: str = "") -> dict[int, str]:
    """Return, by status code, what a person can do about a refusal."""
    return {
        202: "the request waits for approval in the tenant",
        400: "the tenant could not read the request: see its certificate authority",
        401: (
            "the tenant does not take the password or token: see there whether the device was disabled; if it is not "
            f"registered any more, {cures.register(device_id)} with a new one-time password registers it"
        ),
        403: "the tenant does not allow it: is its feature certificate-authority on, and the device allowed to use it?",
        404: f"there is no such service: is the feature certificate-authority on? {server.elsewhere}",
        429: "the tenant is busy: ask again later",
    }
