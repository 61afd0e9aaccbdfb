# SPDX-License-Identifier: Apache-2.0
"""Report how a run ended: alarm, event and certificate at the tenant, the status at the local broker.

All messages go over one connection to the local broker, which keeps what the bridge cannot send yet.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tedge_cert.bridge import local_broker
from tedge_cert.bridge.kinds import watch
from tedge_cert.deadline import Deadline
from tedge_cert.device.connections import LocalBroker
from tedge_cert.device.state import State
from tedge_cert.disk import files, owners
from tedge_cert.durations import counted, format_duration
from tedge_cert.events import CONFIRMED_LATE, RENEWED, WAITS_FOR_APPROVAL
from tedge_cert.hourly.validity import Validity
from tedge_cert.tenant.smartrest import ALARM_CLEARED, ALARM_MAJOR, MESSAGES, message
from tedge_cert.tenant.smartrest import EVENT as EVENT_TEMPLATE
from tedge_cert.times import iso_utc
from tedge_cert.x509.certificate import name_text

ALARM = "c8y_CertificateRenewalFailed"
EVENT = "c8y_CertificateRenewed"
# The fragment of the device's managed object.
TWIN = "tedge_DeviceCertificate"
# For all messages together: a renewal that waits longer would hold up the next one.
LIMIT_S = 8.0
_RETAINED_S = 0.5
# The version of the retained status: a new field keeps it, a field that goes or changes its meaning raises it.
STATUS_VERSION = 1


@dataclass(frozen=True)
class News:
    """One message for the tenant; the topic without the prefix of the bridge."""

    topic: str
    payload: str


@dataclass(frozen=True)
class Report:
    """The facts about a run that are reported; ``validity`` and ``path`` are those of the certificate in use."""

    name: str
    profile: str
    now_s: int
    threshold_s: int
    state: State
    validity: Validity | None = None
    path: str = ""

    @property
    def left_s(self) -> int:
        """Seconds until the certificate expires; 0 without one."""
        return self.validity.left_s(self.now_s) if self.validity else 0

    @property
    def is_alarming(self) -> bool:
        """Whether renewal keeps failing while less than a third of the threshold is left."""
        return self.state.attempts > 0 and self.validity is not None and self.left_s < self.threshold_s / 3


def tell(report: Report, broker: LocalBroker, marker: Path) -> None:
    """Send the messages for the tenant, where there is a bridge, and the status; raises OSError or TedgeCertError.

    ``marker`` is the file that exists while an alarm has yet to be cleared.
    """
    deadline = Deadline(LIMIT_S)
    if not broker.bridge_file.exists():
        with local_broker.connect(broker, deadline.left_s()) as connection:
            status = json.dumps(status_of(report, None))
            connection.publish(broker.status_topic, status, timeout_s=deadline.left_s(), retain=True)
        return
    with watch(broker, deadline.left_s(), _RETAINED_S) as bridge:
        for each in news_of(report, marker.exists()):
            bridge.publish(each.topic, each.payload, deadline.left_s())
        _remember(marker, report.is_alarming)
        status = json.dumps(status_of(report, bridge.is_up))
        bridge.publish_locally(broker.status_topic, status, deadline.left_s())


def news_of(report: Report, alarm_is_raised: bool) -> list[News]:
    """Make the messages for the tenant."""
    found = []
    left = report.state
    if report.is_alarming:
        failed = f"{counted(left.attempts, 'attempt')} to renew it {'has' if left.attempts == 1 else 'have'} failed"
        if left.result == WAITS_FOR_APPROVAL.name:
            failed = "its renewal still waits for approval"
        text = (
            f"The certificate expires in {format_duration(max(0, report.left_s), 2)}, and {failed}: "
            f"{left.reason or left.result}"
        )
        found.append(News(MESSAGES, message(ALARM_MAJOR, ALARM, text)))
    elif alarm_is_raised:
        found.append(News(MESSAGES, message(ALARM_CLEARED, ALARM)))
    active = report.validity
    if active is None:
        return found
    if left.result in (RENEWED.name, CONFIRMED_LATE.name):
        text = f"Certificate renewed: serial {active.serial}, valid until {iso_utc(active.not_after_s)}"
        found.append(News(MESSAGES, message(EVENT_TEMPLATE, EVENT, text)))
    twin = {"issuer": name_text(active.issuer), "serial": active.serial, "notAfter": iso_utc(active.not_after_s)}
    found.append(News(f"inventory/managedObjects/update/{active.device_id}", json.dumps({TWIN: twin})))
    return found


def status_of(report: Report, bridge_is_up: bool | None) -> dict[str, object]:
    """Make the status for the local broker: fields of ``tedge cert status --json`` that a run knows."""
    active = report.validity
    return {
        "version": STATUS_VERSION,
        "name": report.name,
        "cloud": "c8y",
        "profile": report.profile,
        "device_id": active.device_id if active else "",
        "at_s": report.now_s,
        "certificate": active
        and {
            "path": report.path,
            "subject": name_text(active.subject),
            "issuer": name_text(active.issuer),
            "serial": active.serial,
            "not_before_s": active.not_before_s,
            "not_after_s": active.not_after_s,
        },
        "threshold_s": report.threshold_s,
        "last": report.state.as_last(),
        "bridge": {"configured": bridge_is_up is not None, "up": bridge_is_up},
    }


def _remember(marker: Path, is_raised: bool) -> None:
    """Record whether an alarm has to be cleared later, so that the tenant need not be asked."""
    if is_raised and not marker.exists():
        files.write(marker, b"", owners.HANDOVER)
    elif not is_raised:
        files.remove(marker)
