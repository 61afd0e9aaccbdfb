# SPDX-License-Identifier: Apache-2.0
"""What the fleet sees of a run: an alarm, an event and the certificate at the tenant, the status at the local broker.

All of it over one connection to the local broker, which keeps what the bridge cannot send yet.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tedge_cert import journal
from tedge_cert.bridge import local_broker
from tedge_cert.deadline import Deadline
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError
from tedge_cert.hourly.validity import format_duration
from tedge_cert.net.mqtt import Connection
from tedge_cert.status.document import instance_of
from tedge_cert.status.facts import BridgeFacts, Facts
from tedge_cert.status.gather import gather_files
from tedge_cert.status.verdict import problems
from tedge_cert.tenant import smartrest

ALARM = "c8y_CertificateRenewalFailed"
EVENT = "c8y_CertificateRenewed"
# The fragment of the device's managed object.
TWIN = "tedge_DeviceCertificate"
RENEWED = ("renewed", "confirmed-late")
# In all: a renewal that waits for its news would hold up the next one.
LIMIT_S = 8.0
_RETAINED_S = 0.5


@dataclass(frozen=True)
class News:
    """One message for the tenant; the topic without the prefix of the bridge."""

    topic: str
    payload: str


def tell(instance: Instance) -> None:
    """Tell what the last run left, to be called once at its end; nothing that goes wrong here is an error."""
    try:
        _tell(instance)
    except (OSError, TedgeCertError) as error:
        journal.info(f"the fleet was not told of this run: {error}")


def news_of(facts: Facts, alarm_is_raised: bool) -> list[News]:
    """What the tenant is told, judged from the facts and from nothing else."""
    found = []
    if is_alarming(facts):
        text = (
            f"The certificate expires in {format_duration(max(0, facts.left_s), 2)} and its renewal has failed "
            f"{facts.state.attempts} times: {facts.state.reason or facts.state.result}"
        )
        found.append(News("s/us", smartrest.message(smartrest.ALARM_MAJOR, ALARM, text)))
    elif alarm_is_raised:
        found.append(News("s/us", smartrest.message(smartrest.ALARM_CLEARED, ALARM)))
    active = facts.certificate
    if facts.state.result in RENEWED and active is not None and active.is_readable:
        text = f"Certificate renewed: serial {active.serial}, valid until {_iso(active.not_after_s)}"
        found.append(News("s/us", smartrest.message(smartrest.EVENT, EVENT, text)))
    if active is not None and active.is_readable:
        twin = {"issuer": active.issuer, "serial": active.serial, "notAfter": _iso(active.not_after_s)}
        topic = f"inventory/managedObjects/update/{facts.device_id}"
        found.append(News(topic, json.dumps({TWIN: twin})))
    return found


def is_alarming(facts: Facts) -> bool:
    """Whether renewal keeps failing and less than a third of the threshold is left."""
    return facts.state.attempts > 0 and facts.certificate is not None and facts.left_s < facts.threshold_s / 3


def status_topic(instance: Instance) -> str:
    """Where the local broker keeps the status of the instance."""
    root, device = instance.config.need("mqtt.topic_root"), instance.config.need("mqtt.device_topic_id")
    return f"{root}/{device}/cert/{instance.name}/status"


def _tell(instance: Instance) -> None:
    facts = gather_files(instance)
    marker = instance.state_file.with_suffix(".alarm")
    deadline = Deadline(LIMIT_S)
    with local_broker.connect(instance, deadline.left_s()) as broker:
        if instance.bridge_file.exists():
            facts = replace(facts, bridge=BridgeFacts(True, is_up=_is_up(instance, broker, deadline)))
            for each in news_of(facts, marker.exists()):
                broker.publish(f"{instance.prefix}/{each.topic}", each.payload, timeout_s=deadline.left_s())
            _remember(marker, is_alarming(facts))
        status = json.dumps(instance_of(facts, problems(facts)))
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
        files.write(marker, b"", files.HANDOVER)
    elif not is_raised:
        files.remove(marker)


def _iso(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
