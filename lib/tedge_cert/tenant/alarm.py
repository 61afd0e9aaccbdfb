# SPDX-License-Identifier: Apache-2.0
"""Tell the fleet how a run ended: alarm, event and certificate at the tenant, the status at the local broker.

All messages go over one connection to the local broker, which keeps what the bridge cannot send yet.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from tedge_cert import journal
from tedge_cert.bridge import local_broker
from tedge_cert.deadline import Deadline
from tedge_cert.device import state
from tedge_cert.device.instance import Instance
from tedge_cert.device.state import State
from tedge_cert.disk import files, owners
from tedge_cert.durations import format_duration
from tedge_cert.errors import CertificateError, TedgeCertError
from tedge_cert.hourly.validity import Validity
from tedge_cert.net.mqtt import Connection
from tedge_cert.times import iso_utc
from tedge_cert.x509 import certificate

ALARM = "c8y_CertificateRenewalFailed"
EVENT = "c8y_CertificateRenewed"
# The fragment of the device's managed object.
TWIN = "tedge_DeviceCertificate"
RENEWED = ("renewed", "confirmed-late")
# In all: a renewal that waits for its news would hold up the next one.
LIMIT_S = 8.0
_RETAINED_S = 0.5
# Of the retained status; what is added keeps it, what is removed or changes its meaning raises it.
STATUS_VERSION = 1


@dataclass(frozen=True)
class News:
    """One message for the tenant; the topic without the prefix of the bridge."""

    topic: str
    payload: str


@dataclass(frozen=True)
class Report:
    """What a run left, as far as the fleet is told; ``validity`` and ``issuer`` are those of the certificate in use."""

    name: str
    profile: str
    device_id: str
    now_s: int
    threshold_s: int
    state: State
    validity: Validity | None = None
    path: str = ""
    subject: str = ""
    issuer: str = ""

    @property
    def left_s(self) -> int:
        """Seconds until the certificate expires; 0 without one."""
        return self.validity.left_s(self.now_s) if self.validity else 0

    @property
    def is_alarming(self) -> bool:
        """Whether renewal keeps failing while less than a third of the threshold is left."""
        return self.state.attempts > 0 and self.validity is not None and self.left_s < self.threshold_s / 3


def tell(instance: Instance) -> None:
    """Tell how the last run of ``instance`` ended; errors are logged, they never fail a renewal."""
    try:
        _send(instance, _report_of(instance))
    except (OSError, TedgeCertError) as error:
        journal.info(f"the fleet was not told of this run: {error}")


def news_of(report: Report, alarm_is_raised: bool) -> list[News]:
    """Make the messages for the tenant."""
    found = []
    left = report.state
    if report.is_alarming:
        text = (
            f"The certificate expires in {format_duration(max(0, report.left_s), 2)} and its renewal has failed "
            f"{left.attempts} times: {left.reason or left.result}"
        )
        found.append(News("s/us", message(_ALARM_MAJOR, ALARM, text)))
    elif alarm_is_raised:
        found.append(News("s/us", message(_ALARM_CLEARED, ALARM)))
    active = report.validity
    if active is None:
        return found
    if left.result in RENEWED:
        text = f"Certificate renewed: serial {active.serial}, valid until {iso_utc(active.not_after_s)}"
        found.append(News("s/us", message(_EVENT, EVENT, text)))
    twin = {"issuer": report.issuer, "serial": active.serial, "notAfter": iso_utc(active.not_after_s)}
    found.append(News(f"inventory/managedObjects/update/{report.device_id}", json.dumps({TWIN: twin})))
    return found


def status_of(report: Report, bridge_is_up: bool | None) -> dict[str, object]:
    """Make the status for the local broker: fields of ``tedge cert status --json`` that a run knows."""
    active, left = report.validity, report.state
    return {
        "version": STATUS_VERSION,
        "name": report.name,
        "cloud": "c8y",
        "profile": report.profile,
        "device_id": report.device_id,
        "at_s": report.now_s,
        "certificate": active
        and {
            "path": report.path,
            "subject": report.subject,
            "issuer": report.issuer,
            "serial": active.serial,
            "not_before_s": active.not_before_s,
            "not_after_s": active.not_after_s,
        },
        "threshold_s": report.threshold_s,
        "last": {
            "result": left.result,
            "step": left.step,
            "reason": left.reason,
            "at_s": left.at_s,
            "attempts": left.attempts,
            "next_attempt_s": left.next_attempt_s,
            "succeeded_s": left.succeeded_s,
        },
        "bridge": {"configured": bridge_is_up is not None, "up": bridge_is_up},
    }


def status_topic(instance: Instance) -> str:
    """The topic of the local broker that keeps the status of the instance."""
    root, device = instance.config.need("mqtt.topic_root"), instance.config.need("mqtt.device_topic_id")
    return f"{root}/{device}/cert/{instance.name}/status"


def _report_of(instance: Instance) -> Report:
    validity, subject, issuer = None, "", ""
    try:
        active = certificate.load(instance.certificate)
    except CertificateError as error:
        journal.debug(f"the fleet is told nothing of the certificate: {error}")
    else:
        validity = active.validity
        subject, issuer = (certificate.name_text(each) for each in (active.subject, active.issuer))
    return Report(
        name=instance.name,
        profile=instance.config.profile,
        device_id=validity.common_name if validity else "",
        now_s=int(time.time()),
        threshold_s=instance.minimum_s,
        state=state.load(instance.state_file),
        validity=validity,
        path=str(instance.certificate),
        subject=subject,
        issuer=issuer,
    )


def _send(instance: Instance, report: Report) -> None:
    marker = instance.state_file.with_suffix(".alarm")
    deadline = Deadline(LIMIT_S)
    with local_broker.connect(instance, deadline.left_s()) as broker:
        is_up = None
        if instance.bridge_file.exists():
            is_up = _is_up(instance, broker, deadline)
            for each in news_of(report, marker.exists()):
                broker.publish(f"{instance.prefix}/{each.topic}", each.payload, timeout_s=deadline.left_s())
            _remember(marker, report.is_alarming)
        status = json.dumps(status_of(report, is_up))
        broker.publish(status_topic(instance), status, timeout_s=deadline.left_s(), retain=True)


def _is_up(instance: Instance, broker: Connection, deadline: Deadline) -> bool:
    broker.subscribe(instance.health_topic, deadline.left_s())
    try:
        return broker.next_message(min(_RETAINED_S, deadline.left_s())).payload.strip() == b"1"
    except TimeoutError:
        return False


def _remember(marker: Path, is_raised: bool) -> None:
    """Whether there is an alarm to be cleared; the tenant is not asked."""
    if is_raised and not marker.exists():
        files.write(marker, b"", owners.HANDOVER)
    elif not is_raised:
        files.remove(marker)


# Static templates of SmartREST 2.0.
_ALARM_MAJOR, _ALARM_CLEARED, _EVENT = "302", "306", "400"
# A message may have 16 KiB in all; what a person reads in a list is much shorter.
_MOST_CHARACTERS = 1000


def message(template: str, *values: str) -> str:
    """A message of one line, whatever the values hold."""
    return ",".join([template, *map(_field, values)])


def _field(value: str) -> str:
    """A value in quotes where it needs them; control characters, line breaks among them, become blanks."""
    text = "".join(each if each.isprintable() else " " for each in value)[:_MOST_CHARACTERS]
    if any(each in text for each in ',"') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text
