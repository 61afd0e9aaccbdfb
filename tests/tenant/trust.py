# SPDX-License-Identifier: Apache-2.0
"""Which client certificates a server lets through its handshake: that of MQTT, and that of access tokens.

Python's ssl sends an alert only of its own accord, so a refusal is made by what a context trusts:
for "unknown CA" it knows single certificates instead of the authority; for "revoked" it has a list of them.
"""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tenant.authority import Authority, pem
from tenant.faults import TLS_REFUSALS, FaultList, Peer
from tenant.settings import Settings
from tenant.state import State


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for a server of the tenant."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


class Trust:
    """Gives the context for a connection that comes in now."""

    def __init__(
        self,
        server: tuple[Path, Path],
        devices: tuple[Authority, Authority],
        settings: Settings,
        state: State,
        faults: FaultList,
        where: str = "mqtt",
    ) -> None:
        self._server = server
        self._root, self._intermediate = devices
        self._settings = settings
        self._state = state
        self._faults = faults
        self._where = where
        self._plain: tuple[tuple[object, ...], ssl.SSLContext] | None = None
        self._judging: tuple[int, ssl.SSLContext] | None = None

    def context(self) -> ssl.SSLContext:
        """The context as settings, faults and certificates are now; kept until they change."""
        by_fault = self._faults.active(self._where, TLS_REFUSALS)
        by_revocation = self._settings.revoked_answer in TLS_REFUSALS and self._state.revoked
        if not by_fault and not by_revocation:
            return self._plain_context()
        if self._judging is None or self._judging[0] != self._state.version:
            self._judging = (self._state.version, self._judging_context())
        return self._judging[1]

    def _plain_context(self) -> ssl.SSLContext:
        what = (self._settings.trust_intermediate, self._admits_users(), tuple(self._uploaded()))
        if self._plain is None or self._plain[0] != what:
            self._plain = (what, self._new_context(self._anchors()))
        return self._plain[1]

    def _anchors(self) -> list[str]:
        anchors = [pem(self._root.der), *self._uploaded()]
        if self._settings.trust_intermediate:
            anchors.append(pem(self._intermediate.der))
        return anchors

    def _uploaded(self) -> list[str]:
        return [str(t["certInPemFormat"]) for t in self._state.trusted.values() if t["status"] == "ENABLED"]

    def _new_context(self, anchors: list[str]) -> ssl.SSLContext:
        context = server_context(*self._server)
        # A device may also say by user and password who it is, within the connection.
        context.verify_mode = ssl.CERT_OPTIONAL if self._admits_users() else ssl.CERT_REQUIRED
        # A resumed session would pass by the check of the certificate.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        # Of two uploaded certificates with one subject, OpenSSL else tries a client's against the first one only.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if anchors:
            context.load_verify_locations(cadata="\n".join(anchors))
        return context

    def _admits_users(self) -> bool:
        return self._where == "mqtt" and bool(self._settings.device_users)

    def _refusal(self, device: str, serial: str, issued_at: float) -> str:
        """How a certificate is refused in the handshake; empty if it is not."""
        if serial in self._state.revoked and self._settings.revoked_answer in TLS_REFUSALS:
            return self._settings.revoked_answer
        peer = Peer(device=device, serial=serial, issued_at=issued_at)
        return next((f.do for f in self._faults.active(self._where, TLS_REFUSALS) if f.meets(peer)), "")

    def _judging_context(self) -> ssl.SSLContext:
        known = [(i, self._refusal(d.id, i.serial, i.at)) for d in self._state.devices.values() for i in d.issued]
        if any(refusal == "tls-unknown-ca" for _, refusal in known):
            # Each certificate is its own anchor; the authority is none, so the others have an unknown one.
            # A revocation list needs the authority: beside this, "revoked" becomes "unknown CA" too.
            return self._new_context([issued.pem for issued, refusal in known if not refusal])
        revoked = [int(issued.serial) for issued, refusal in known if refusal]
        if not revoked:
            return self._plain_context()
        # A certificate that is its own anchor is on nobody's list, and newer OpenSSL looks at none for it.
        context = self._new_context([each for each in self._anchors() if _serial(each) not in revoked])
        for authority in (self._root, self._intermediate):
            context.load_verify_locations(self._revocation_list(authority, revoked))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context

    def _revocation_list(self, authority: Authority, serials: list[int]) -> Path:
        now = datetime.now(UTC)
        issuer = x509.load_der_x509_certificate(authority.der).subject
        builder = x509.CertificateRevocationListBuilder(issuer, now - timedelta(hours=1), now + timedelta(days=365))
        for serial in serials:
            entry = x509.RevokedCertificateBuilder(serial, now - timedelta(minutes=1)).build()
            builder = builder.add_revoked_certificate(entry)
        level = "root" if authority is self._root else "intermediate"
        path = self._server[0].parent / f"revoked-{self._where}-{level}.pem"
        path.write_bytes(builder.sign(authority.key, SHA256()).public_bytes(Encoding.PEM))
        return path


def _serial(certificate: str) -> int:
    return x509.load_pem_x509_certificate(certificate.encode()).serial_number
