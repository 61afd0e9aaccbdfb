# SPDX-License-Identifier: Apache-2.0
"""Enrolment and re-enrolment (RFC 7030), as strict and as loose as the servers that are met."""

import binascii
import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tenant.authority import Authority, name, new_key
from tenant.faults import Fault
from tenant.leaf import issue, load_request
from tenant.limit import Limit
from tenant.pkcs7 import est_body
from tenant.registration import may_enrol
from tenant.settings import Settings
from tenant.state import Issued, State
from tenant.web import BEND, LOG, Callers, basic, refusal

_STRICT = re.compile(rb"(?:[A-Za-z0-9+/=]{1,64}\r?\n)+")
_LEAST_DAYS = 365
_NO_AUTHORITY = "Tenant CA certificate is either missing, expired, or has a validity of less than one year"


class Issuer:
    """Signs for devices as the settings say."""

    def __init__(self, settings: Settings, state: State, authorities: tuple[Authority, Authority]) -> None:
        self._settings = settings
        self._state = state
        self._authorities = authorities

    @property
    def authority(self) -> Authority:
        """The authority that issues now."""
        return self._authorities[1 if self._settings.intermediate else 0]

    def issue(
        self,
        request: Any,
        device: str,
        how: str,
        *,
        offset_s: float | None = None,
        lifetime_s: float | None = None,
        **bend: Any,
    ) -> tuple[bytes, Issued]:
        """Sign, and remember it as the device's; the lifetime counts from now."""
        now = datetime.now(UTC)
        begin = now + timedelta(seconds=self._settings.not_before_offset_s if offset_s is None else offset_s)
        end = now + timedelta(seconds=self._settings.lifetime_s if lifetime_s is None else lifetime_s)
        der = issue(self.authority, request, (begin, end), **bend)
        return der, self._state.add_issued(device, der, how)


def _bends(fault: Fault | None) -> dict[str, Any]:
    """What a fault changes in the certificate."""
    if fault is None:
        return {}
    seconds = float(fault.get("seconds", 3600))
    if fault.do == "wrong-key":
        key = new_key().public_key()
        return {"public_key": key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}
    if fault.do == "wrong-name":
        return {"subject": name(str(fault.get("name", "another-device")))}
    if fault.do == "expired":
        return {"offset_s": -seconds - 86_400, "lifetime_s": -seconds}
    if fault.do == "not-yet-valid":
        return {"offset_s": seconds, "lifetime_s": seconds + 365 * 86_400}
    return {"lifetime_s": seconds}


class Est:
    """The EST handlers."""

    def __init__(self, settings: Settings, state: State, issuer: Issuer, callers: Callers) -> None:
        self._settings = settings
        self._state = state
        self._issuer = issuer
        self._callers = callers
        self._limit = Limit(settings)

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        prefix = "/.well-known/est/"
        return [
            web.post(prefix + "simpleenroll", self.enroll),
            web.post(prefix + "simplereenroll", self.reenroll),
        ]

    async def enroll(self, request: web.Request) -> web.Response:
        """First certificate, for a one-time password."""
        self._check_authority()
        device, password = basic(request)
        if not may_enrol(self._state, device, password):
            raise refusal(401, "security/Unauthorized", "Invalid credentials! : Bad credentials")
        parsed, common_name = await self._read(request)
        if common_name != device:
            raise refusal(403, "security/Forbidden", f"the CSR is for {common_name!r}, the registration for {device!r}")
        del self._state.registrations[device]
        return self._answer(request, parsed, device)

    async def reenroll(self, request: web.Request) -> web.Response:
        """The next certificate, for a token."""
        self._limit.admit()
        self._check_authority()
        device = self._callers.device(request)
        parsed, common_name = await self._read(request)
        if common_name != device:
            raise refusal(403, "security/Forbidden", f"the CSR is for {common_name!r}, the token for {device!r}")
        # A certificate that a fault gave another name is not the device's.
        mine = [i for i in self._state.device(device).issued if i.how != "wrong-name"]
        subject = x509.load_der_x509_csr(parsed.dump()).subject.public_bytes()
        if mine and mine[-1].subject != subject:
            raise refusal(403, "security/Forbidden", "the subject differs from that of the current certificate")
        return self._answer(request, parsed, device)

    def _check_authority(self) -> None:
        """Raises 403 or 422 unless the tenant has an authority that devices may use."""
        if self._settings.certificate_authority_feature != "on":
            raise refusal(403, "security/Forbidden", "Feature certificate-authority is not enabled for the tenant")
        if not self._settings.authority_exists or self._settings.authority_left_days < _LEAST_DAYS:
            raise refusal(422, "est/unprocessable", _NO_AUTHORITY)

    async def _read(self, request: web.Request) -> tuple[Any, str]:
        """The CSR of a request; raises 400."""
        body = await request.read()
        if self._settings.est_strict:
            if request.content_type != "application/pkcs10":
                raise refusal(400, "est/badRequest", "expected Content-Type application/pkcs10")
            if request.content_length is None:
                raise refusal(400, "est/badRequest", "expected a Content-Length")
            if not _STRICT.fullmatch(body):
                raise refusal(400, "est/badRequest", "expected base64 in lines of at most 64 with a final newline")
        try:
            parsed, common_name = load_request(b64decode(b"".join(body.split()), validate=True))
        except (binascii.Error, ValueError) as error:
            raise refusal(400, "est/badRequest", f"not a PKCS#10: {error}") from error
        request[LOG]["device"] = request[LOG]["device"] or common_name
        return parsed, common_name

    def _answer(self, request: web.Request, parsed: Any, device: str) -> web.Response:
        fault = request.get(BEND)
        how = fault.do if fault else request.path.rpartition("/")[2]
        leaf, _ = self._issuer.issue(parsed, device, how, **_bends(fault))
        body = est_body(self._settings, leaf, self._issuer.authority.chain)
        headers = {"Content-Type": self._settings.est_content_type}
        if self._settings.est_format in ("ber", "der"):
            headers["Content-Transfer-Encoding"] = "base64"
        return web.Response(status=self._settings.est_status, body=body, headers=headers)
