# SPDX-License-Identifier: Apache-2.0
"""The errors that callers distinguish, and the exit code of each."""

FAILURE = 1
USAGE = 2
REJECTED = 3
# systemd takes 1-254 of a condition for "skip"; only 255 makes the unit fail (systemd.service(5)).
BROKEN_CONDITION = 255


class TedgeCertError(Exception):
    """An expected failure: its text names the file, key or host, what was expected and what to do."""

    exit_code = FAILURE
    # True when its line has been written already, because the event has to come after the line.
    is_logged = False

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        # The command that mends it, where one does; the text has it too.
        self.cure = cure


class ConfigurationError(TedgeCertError):
    """A setting is missing, malformed, or of the wrong type."""


class UnknownKeyError(ConfigurationError):
    """No version of the configuration has this key."""

    exit_code = USAGE


class CertificateError(TedgeCertError):
    """A certificate or key cannot be read, or is not what it should be."""


class UnreadableError(CertificateError):
    """A certificate or key could not be looked at, so nothing is known of it: it is neither bad nor missing."""


class ExpiredError(CertificateError):
    """The active certificate has expired, so the tenant does not accept a request with it."""


class ClockError(TedgeCertError):
    """The clock of the device is wrong, so no certificate can be judged."""


class CredentialError(TedgeCertError):
    """A credential of the unit is missing or unusable; another attempt would not change that."""

    exit_code = USAGE


class CandidateRejectedError(TedgeCertError):
    """A candidate failed the checks or was refused by the tenant; the active certificate stays."""

    exit_code = REJECTED


class RolledBackError(CandidateRejectedError):
    """The candidate was promoted but not confirmed; the previous certificate is active again."""


class NotTrustedYetError(TedgeCertError):
    """The tenant does not trust a candidate yet, which is self-signed or of another authority; it is kept."""


class NoAnswerError(TedgeCertError):
    """The tenant, the broker or the bridge did not answer, so there is no verdict; try again later."""


class RequestRefusedError(TedgeCertError):
    """The tenant refused a request, or answered something else; it may have said when to ask again."""

    def __init__(self, message: str, status: int = 0, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class WaitsForApprovalError(RequestRefusedError):
    """The authority has the request, and a person has yet to approve it; the same request is sent again."""


class HeldBackError(TedgeCertError):
    """A renewal is due, but the next attempt has to wait."""
