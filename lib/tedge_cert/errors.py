# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as far as a caller cares, and the exit code of each."""

FAILURE = 1
USAGE = 2
REJECTED = 3
# systemd takes 1-254 of a condition for "skip"; only 255 says that something is broken (systemd.service(5)).
BROKEN_CONDITION = 255


MEND = "`sudo tedge reconnect c8y` gives owners and modes back"


def mend(error: Exception) -> str:
    """What puts right whatever a careless chown or chmod did, where that is what went wrong; else nothing."""
    return f"; {MEND}" if isinstance(error, PermissionError) else ""


class TedgeCertError(Exception):
    """An expected failure: its text names the file, key or host, what was expected and what to do."""

    exit_code = FAILURE
    # Whether its line has been written already, because an event had to come after it.
    is_told = False


class ConfigurationError(TedgeCertError):
    """A setting is missing, malformed, or of the wrong type."""


class UnknownKeyError(ConfigurationError):
    """A key that no version of the configuration knows."""

    exit_code = USAGE


class CertificateError(TedgeCertError):
    """A certificate or key cannot be read, or is not what it should be."""


class ExpiredError(CertificateError):
    """The active certificate has expired: nothing can be asked for with it any more."""


class ClockError(TedgeCertError):
    """The clock of the device is wrong, so no certificate can be judged."""


class CredentialError(TedgeCertError):
    """A credential of the unit is missing or of no use: no further attempt would mend that."""

    exit_code = USAGE


class CandidateRejectedError(TedgeCertError):
    """A candidate failed the checks or was refused by the tenant; the active certificate stays."""

    exit_code = REJECTED


class RolledBackError(CandidateRejectedError):
    """The candidate was promoted, did not hold, and the former certificate is active again."""


class NotTrustedYetError(TedgeCertError):
    """The tenant refuses a self-signed candidate because nobody has uploaded it yet: kept, to be tried again."""


class NoAnswerError(TedgeCertError):
    """The tenant, the broker or the bridge gave no answer: no verdict, try again later."""


class RequestRefusedError(TedgeCertError):
    """The tenant answered a request, but not with what was asked for; it may have said when to ask again."""

    def __init__(self, message: str, status: int = 0, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class HeldBackError(TedgeCertError):
    """A renewal is due, but it is too early for another attempt."""


class BusyError(TedgeCertError):
    """Another run holds the lock."""
