# SPDX-License-Identifier: Apache-2.0
"""Events: entries of the journal that an operator can search for, or raise an alarm by.

Each event has an entry in ``units/tedge-cert-renewer.catalog``, which says what it means and what to type. A test
compares the two.
"""

import os
import sys
from dataclasses import dataclass

from tedge_cert import journal, systemd
from tedge_cert.deadline import bounded
from tedge_cert.journal import ERROR, INFO, WARNING, printable

_LIMIT_S = 1.0


@dataclass(frozen=True)
class Event:
    """A kind of event. Its identifier never changes, because operators search for it."""

    name: str
    message_id: str
    priority: int
    headline: str
    # The tenant took part in the failure, so the next attempt waits.
    holds_back: bool = False


RENEWED = Event("renewed", "170e34934c8d4842b12b52d29a3b928a", INFO, "the certificate was renewed")
CONFIRMED_LATE = Event(
    "confirmed-late", "6d20c80b1de547809db0405b1acb4a5d", INFO, "an interrupted switch of the certificate is finished"
)
NOT_NEEDED = Event("not-needed", "6883bd83373549d3ad74b7f024efd803", INFO, "no renewal is needed any more")
REQUEST_REFUSED = Event(
    "request-refused",
    "c193c04153e445ab9bc08405b914d161",
    WARNING,
    "the authority issued no certificate",
    holds_back=True,
)
WAITS_FOR_APPROVAL = Event(
    "waits-for-approval", "e5428e1024bd4745be4f842fc02dd155", WARNING, "the request waits for approval", holds_back=True
)
NO_ANSWER = Event("no-answer", "27616b3754b84788946df0937ae9f608", WARNING, "the tenant is silent", holds_back=True)
CANDIDATE_REJECTED = Event(
    "candidate-rejected", "ca7cd8aa3e294028b8ba660a09327e70", ERROR, "the new certificate was rejected", holds_back=True
)
ROLLED_BACK = Event(
    "rolled-back", "520d9bf4cfe84a9799a4f97b98cb7445", ERROR, "the previous certificate is back in use", holds_back=True
)
NOT_TRUSTED_YET = Event(
    "not-trusted-yet", "a59223d6220249a3b252b4f86d67fdc6", ERROR, "the tenant does not trust the new certificate yet"
)
CERTIFICATE_UNUSABLE = Event(
    "certificate-unusable", "f5a5591df5ca429d8dd30e4d94cf0b8b", ERROR, "the certificate or its key cannot be used"
)
CERTIFICATE_EXPIRED = Event(
    "certificate-expired", "74a9661be4c24b16903926774a74feaa", ERROR, "the certificate has expired"
)
CLOCK_WRONG = Event("clock-wrong", "0da74ad5a0c94b7ab6a20baeb73eb6ac", ERROR, "the clock is wrong")
THRESHOLD_TOO_LONG = Event(
    "threshold-too-long",
    "41e09db610f64260a8b49f30887ca688",
    WARNING,
    "the threshold is no shorter than the life of a certificate",
)
HELD_BACK = Event("held-back", "58a2083089ab4c87b983a1423057c4a5", WARNING, "the next attempt to renew is held back")
CONFIGURATION_BROKEN = Event(
    "configuration-broken", "b65affd67e02488690251db1ae1cf54c", ERROR, "the configuration is broken"
)
STEP_FAILED = Event("step-failed", "4662907358a44492ad773352dc4076fd", ERROR, "a step failed", holds_back=True)

# How a run ends that leaves nothing to do.
SUCCESSES = (RENEWED, CONFIRMED_LATE, NOT_NEEDED)

FIELDS = (
    "TEDGE_CLOUD",
    "TEDGE_PROFILE",
    "TEDGE_DEVICE_ID",
    "TEDGE_INSTANCE",
    "CERT_SERIAL",
    "CERT_NOT_AFTER",
    "RENEWAL_STEP",
    "RENEWAL_RESULT",
    "RENEWAL_REASON",
    "RENEWAL_UNIT",
    "NEXT_ATTEMPT",
)
"""The fields of every event: the catalog can use each of them in any entry."""


def send(event: Event, fields: dict[str, str]) -> None:
    """Send an event to the journal; write a plain line first.

    journald learns the unit of this process from the plain line. A slow journald that has only the event finds that
    the process has ended. The event is left out where there is no journal, and where journald does not read it within
    a second: it may be stopped, and a renewal does not wait for it.
    """
    try:
        # Costs more than the rest of an hourly check, so it is imported only when there is an event.
        systemd.find_libraries()
        from systemd import journal as journald

        # libsystemd waits without a limit for a journald that does not read; a signal ends the wait.
        with bounded(_LIMIT_S, "sending it"):
            journald.send(
                printable(f"{fields['TEDGE_DEVICE_ID']}: {event.headline}"),
                event.message_id,
                PRIORITY=str(event.priority),
                SYSLOG_IDENTIFIER=os.path.basename(sys.argv[0]),  # noqa: PTH119 (an hour does not import pathlib)
                **{name: printable(fields[name]) for name in FIELDS},
            )
    except (ImportError, OSError) as error:
        journal.debug(f"the event {event.name} did not reach the journal: {error}")
