# SPDX-License-Identifier: Apache-2.0
"""The JSON web tokens that a device gets over MQTT and shows over HTTPS (HS256)."""

import hmac
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from tenant.settings import Settings

TENANT_ID = "t1"
MANAGEMENT_ID = "management"


class TokenError(Exception):
    """A token that is not accepted."""


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Tokens:
    """Makes and checks tokens; the key lives as long as the process."""

    def __init__(self, host: str, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self._key = secrets.token_bytes(32)

    def _signature(self, signed: str) -> str:
        return _encode(hmac.digest(self._key, signed.encode(), "sha256"))

    def make(self, device: str, lifetime_s: float | None = None) -> str:
        """A token for the device."""
        now = time.time()
        until = now + (self._settings.token_lifetime_s if lifetime_s is None else lifetime_s)
        claims: dict[str, Any] = {
            "iss": self._host,
            "aud": self._host,
            "sub": device,
            "tenant": TENANT_ID,
            "ten": TENANT_ID,
        }
        claims |= {
            "iat": int(now),
            "exp": int(until),
            "epoch": self._settings.token_epoch,
            "jti": secrets.token_hex(8),
        }
        parts = ({"alg": "HS256", "typ": "JWT"}, claims)
        signed = ".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
        return f"{signed}.{self._signature(signed)}"

    def subject(self, token: str) -> str:
        """Whom a token is for, `tenant/user` for a person; raises `TokenError` for one that is not good now."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise TokenError("the signature of the token is wrong")
        claims: dict[str, Any] = json.loads(_decode(signed.partition(".")[2]))
        if claims["exp"] <= time.time():
            raise TokenError("the token has expired")
        if claims["epoch"] != self._settings.token_epoch:
            raise TokenError("the token was revoked")
        return str(claims["sub"])

    def device(self, token: str) -> str:
        """The device that a token is for; raises `TokenError` likewise, and for the token of a person."""
        subject = self.subject(token)
        if "/" in subject:
            raise TokenError("the token is not a device's")
        return subject
