# SPDX-License-Identifier: Apache-2.0
"""Limit how many certificates the authority issues in a period; further clients get Retry-After."""

import time
from collections import deque

from tenant.settings import Settings
from tenant.web import refusal


class Limit:
    """The re-enrolments of the last seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admitted: deque[float] = deque()

    def admit(self) -> None:
        """Count a request; raises 429 with `Retry-After` if there were too many before it."""
        settings, now_s = self._settings, time.monotonic()
        if not settings.est_limit:
            return
        while self._admitted and self._admitted[0] <= now_s - settings.est_limit_s:
            self._admitted.popleft()
        if len(self._admitted) >= settings.est_limit:
            headers = {"Retry-After": str(settings.est_retry_after_s)}
            raise refusal(429, "est/tooManyRequests", "Too many requests", headers)
        self._admitted.append(now_s)
