# SPDX-License-Identifier: Apache-2.0
"""The certificates that the tenant trusts devices by: its own authority, and what an operator uploads."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tenant.authority import Authority, prolong
from tenant.paging import answer, flag, page, url_of
from tenant.settings import TENANT_MANAGER, Settings
from tenant.state import State
from tenant.tokens import TENANT_ID
from tenant.web import Callers, read_json, refusal

_AUTHORITY_DAYS = 1095
_RENEWED_BELOW_DAYS = 730
_STATES = ("ENABLED", "DISABLED")
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "status": (lambda value: value in _STATES, f"expected one of {', '.join(_STATES)}"),
    "autoRegistrationEnabled": (lambda value: isinstance(value, bool), "expected true or false"),
    "name": (lambda value: isinstance(value, str), "expected text"),
}


def _settings_of(content: dict[str, Any]) -> dict[str, Any]:
    """What an operator may set of a certificate; raises 422."""
    for name, (fits, expected) in _CHECKS.items():
        if name in content and not fits(content[name]):
            raise refusal(422, "tenant/invalidData", f"{name}: {expected}")
    return {name: content[name] for name in _CHECKS if name in content}


def _facts(loaded: x509.Certificate) -> dict[str, Any]:
    """What Cumulocity tells of a certificate."""
    return {
        "algorithmName": loaded.signature_algorithm_oid._name,
        "certInPemFormat": loaded.public_bytes(Encoding.PEM).decode(),
        "fingerprint": loaded.fingerprint(SHA1()).hex(),  # noqa: S303 (the name that Cumulocity gives it)
        "issuer": loaded.issuer.rfc4514_string(),
        "notAfter": f"{loaded.not_valid_after_utc:%Y-%m-%dT%H:%M:%S.000Z}",
        "notBefore": f"{loaded.not_valid_before_utc:%Y-%m-%dT%H:%M:%S.000Z}",
        "serialNumber": str(loaded.serial_number),
        "subject": loaded.subject.rfc4514_string(),
        "version": loaded.version.value + 1,
    }


class TrustedCertificates:
    """The handlers."""

    def __init__(self, settings: Settings, state: State, callers: Callers, root: Authority) -> None:
        self._settings = settings
        self._state = state
        self._callers = callers
        self._root = root
        self._own: tuple[int, dict[str, Any]] | None = None
        self._own_settings: dict[str, Any] = {"status": "ENABLED", "autoRegistrationEnabled": True}

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        all_of_them = "/tenant/tenants/{tenant}/trusted-certificates"
        one = all_of_them + "/{fingerprint}"
        return [
            web.post("/certificate-authority", self.create_authority),
            web.get("/certificate-authority", self.authority),
            web.post("/certificate-authority/renew", self.renew_authority),
            web.post(all_of_them, self.create),
            web.get(all_of_them, self.list_all),
            web.get(one, self.get),
            web.put(one, self.put),
            web.delete(one, self.delete),
        ]

    def _authority(self) -> dict[str, Any]:
        """The tenant's authority, of the age that the settings give it."""
        days = self._settings.authority_left_days
        if self._own is None or self._own[0] != days:
            der = self._root.der if days == _AUTHORITY_DAYS else prolong(self._root, days)
            facts = _facts(x509.load_der_x509_certificate(der))
            self._own = (days, {**facts, "name": "tenant CA", "tenantCertificateAuthority": True})
        return {**self._own[1], **self._own_settings}

    def _all(self) -> list[dict[str, Any]]:
        own = [self._authority()] if self._settings.authority_exists else []
        return [*own, *self._state.trusted.values()]

    def _allowed(self, request: web.Request) -> None:
        operator = self._callers.need(request, TENANT_MANAGER)
        if request.match_info.get("tenant", TENANT_ID) != TENANT_ID:
            raise refusal(404, "tenant/notFound", "Tenant not found")
        if operator.tenant != TENANT_ID:
            raise refusal(403, "security/Forbidden", "Access is denied")

    def _one(self, request: web.Request) -> dict[str, Any]:
        self._allowed(request)
        wanted = request.match_info["fingerprint"].lower()
        for each in self._all():
            if each["fingerprint"] == wanted:
                return each
        raise refusal(404, "tenant/notFound", f"There is no certificate with the fingerprint {wanted}")

    def _shown(self, request: web.Request, certificate: dict[str, Any], status: int = 200) -> web.Response:
        path = f"/tenant/tenants/{TENANT_ID}/trusted-certificates/{certificate['fingerprint']}"
        return answer("", {**certificate, "self": url_of(request, path)}, status)

    async def create_authority(self, request: web.Request) -> web.Response:
        """Make the tenant's own authority, which needs the feature; a further one is a conflict."""
        self._allowed(request)
        if self._settings.certificate_authority_feature != "on":
            raise refusal(403, "security/Forbidden", "Feature certificate-authority is not enabled for the tenant")
        if self._settings.authority_exists:
            raise refusal(409, "tenant/Conflict", "The tenant has a CA certificate already")
        self._settings.authority_exists, self._settings.authority_left_days = True, _AUTHORITY_DAYS
        return self._shown(request, self._authority(), 201)

    async def authority(self, request: web.Request) -> web.Response:
        """The tenant's own authority."""
        self._allowed(request)
        if not self._settings.authority_exists:
            raise refusal(404, "tenant/notFound", "The tenant has no CA certificate")
        return self._shown(request, self._authority())

    async def renew_authority(self, request: web.Request) -> web.Response:
        """The tenant's own authority with its key and name for another three years, once it has less than two left."""
        self._allowed(request)
        if not self._settings.authority_exists:
            raise refusal(404, "tenant/notFound", "The tenant has no CA certificate")
        if self._settings.authority_left_days >= _RENEWED_BELOW_DAYS:
            raise refusal(422, "tenant/unprocessable", "The CA certificate is valid for 24 months or more")
        self._settings.authority_left_days = _AUTHORITY_DAYS
        return self._shown(request, self._authority())

    async def create(self, request: web.Request) -> web.Response:
        """The operator uploads a certificate that devices may use from now on."""
        self._allowed(request)
        content = await read_json(request)
        try:
            loaded = x509.load_pem_x509_certificate(_armoured(str(content.get("certInPemFormat", ""))))
            facts = _facts(loaded)
            names = loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        except ValueError as error:
            raise refusal(422, "tenant/invalidData", f"certInPemFormat: {error}") from error
        fingerprint = facts["fingerprint"]
        if any(each["fingerprint"] == fingerprint for each in self._all()):
            raise refusal(409, "tenant/Conflict", f"A certificate with the fingerprint {fingerprint} exists already")
        chosen = {"status": "ENABLED", "autoRegistrationEnabled": False, **_settings_of(content)}
        self._state.trusted[fingerprint] = {**facts, **chosen, "tenantCertificateAuthority": False}
        self._state.add_issued(str(names[0].value) if names else "", loaded.public_bytes(Encoding.DER), "uploaded")
        return self._shown(request, self._state.trusted[fingerprint], 201)

    async def list_all(self, request: web.Request) -> web.Response:
        """All of them, or the tenant's authority alone."""
        self._allowed(request)
        own = flag(request, "certificateAuthority")
        found = [each for each in self._all() if each["tenantCertificateAuthority"] or not own]
        return page(request, "", "certificates", found)

    async def get(self, request: web.Request) -> web.Response:
        """One of them."""
        return self._shown(request, self._one(request))

    async def put(self, request: web.Request) -> web.Response:
        """Change what can be set of one."""
        found = self._one(request)
        chosen = _settings_of(await read_json(request))
        (self._own_settings if found["tenantCertificateAuthority"] else found).update(chosen)
        self._state.version += 1
        return self._shown(request, self._one(request))

    async def delete(self, request: web.Request) -> web.Response:
        """Trust one no more."""
        found = self._one(request)
        if found["tenantCertificateAuthority"]:
            self._settings.authority_exists = False
        else:
            del self._state.trusted[found["fingerprint"]]
        self._state.version += 1
        return web.Response(status=204)


def _armoured(text: str) -> bytes:
    """PEM with its armour, which some clients leave out."""
    if "-----BEGIN" in text:
        return text.encode()
    return f"-----BEGIN CERTIFICATE-----\n{text.strip()}\n-----END CERTIFICATE-----\n".encode()
