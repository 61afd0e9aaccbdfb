# SPDX-License-Identifier: Apache-2.0
"""Every event: made by a real situation, found by its identifier, explained by `journalctl -x`."""

import re
from collections.abc import Callable

from system.device import Device
from system.journal import Entry
from system.renewer import CANDIDATE, CERTIFICATE, KEY, PREVIOUS, SERVICE, STATE, make_due, serial, start, wait_out
from tedge_cert import events
from tenant.client import Tenant

DAY_S = 86_400
Situation = Callable[[Device, Tenant], object]


def request(device: Device) -> str:
    return device.run(f"openssl req -new -key {KEY} -subj '/CN={device.name}/O=Thin Edge/OU=Device'").stdout


def in_the_unit(device: Device, tenant: Tenant) -> None:
    start(device)


def put(**options: int) -> Situation:
    """Give the device a certificate of the tenant, and start the unit."""

    def situation(device: Device, tenant: Tenant) -> None:
        device.write(CERTIFICATE, tenant.issue(request(device), **options))
        start(device)

    return situation


def refused(device: Device, tenant: Tenant) -> None:
    make_due(device)
    tenant.fault(where="est", do="status", status=403, times=1)
    start(device)


def pending(device: Device, tenant: Tenant) -> None:
    wait_out(device)
    tenant.fault(where="est", do="status", status=202, headers={"Retry-After": "600"}, times=1)
    start(device)


def silent(device: Device, tenant: Tenant) -> None:
    wait_out(device)
    tenant.fault(where="est", do="close", times=1)
    start(device)


def renewed(device: Device, tenant: Tenant) -> None:
    """Renew with a threshold that is too long; `systemctl status` shows the progress."""
    wait_out(device)
    tenant.fault(where="mqtt", do="slow-puback", delay_s=3, times=1)
    device.systemctl("start", "--no-block", SERVICE)
    device.wait_for(f"systemctl show -P StatusText {SERVICE} | grep 'Proving the new certificate to tenant.test'")
    device.wait_for(f"test $(systemctl show -P ActiveState {SERVICE}) != activating")
    device.run("tedge config set certificate.validity.minimum_duration 30d")


def misconfigured(device: Device, tenant: Tenant) -> None:
    device.run("cp -p /etc/tedge/tedge.toml /tmp; echo 'c8y = [' >> /etc/tedge/tedge.toml")
    start(device)
    device.run("cp -p /tmp/tedge.toml /etc/tedge")


def other_name(device: Device, tenant: Tenant) -> None:
    csr = device.run(f"openssl req -new -key {KEY} -subj /CN=another-device").stdout
    device.write(CANDIDATE, tenant.issue(csr))
    assert device.run("tedge cert verify c8y", check=False).exit_code == 3
    device.run(f"rm {CANDIDATE}")


def self_signed(device: Device, tenant: Tenant) -> None:
    device.run(f"openssl req -x509 -key {KEY} -subj /CN={device.name} -days 500 -out {CANDIDATE}")
    assert device.run("tedge cert verify c8y", check=False).exit_code == 1
    device.run(f"rm {CANDIDATE}")


def interrupted(device: Device, tenant: Tenant) -> None:
    """Leave the files of a run that lost power after its two renames."""
    device.run(f"tedge cert renew c8y; mv {CERTIFICATE} {PREVIOUS}; mv {CANDIDATE} {CERTIFICATE}")
    start(device)


def interrupted_and_refused(device: Device, tenant: Tenant) -> None:
    tenant.fault(where="mqtt", do="connack", code=5, except_serials=[serial(tenant, device)])
    interrupted(device, tenant)
    tenant.clear_faults()


def without_renew_step(device: Device, tenant: Tenant) -> None:
    device.write("/run/systemd/system/tedge-cert-renewer@.service.d/nothing.conf", "[Service]\nExecStartPre=\n")
    device.systemctl("daemon-reload")
    put(lifetime_s=10 * DAY_S)(device, tenant)


def spoilt(device: Device, tenant: Tenant) -> None:
    device.write(CERTIFICATE, "garbage")
    start(device)


def verified_by_hand(device: Device, tenant: Tenant) -> None:
    device.run("tedge cert verify c8y")


# In this order: what one leaves is where the next begins.
SITUATIONS: dict[str, Situation] = {
    "not-needed": verified_by_hand,
    "configuration-broken": misconfigured,
    "request-refused": refused,
    "held-back": in_the_unit,
    "waits-for-approval": pending,
    "no-answer": silent,
    "renewed threshold-too-long": renewed,
    "candidate-rejected": other_name,
    "not-trusted-yet": self_signed,
    "rolled-back": interrupted_and_refused,
    "confirmed-late": interrupted,
    "step-failed": without_renew_step,
    "certificate-expired": put(lifetime_s=-60, not_before_offset_s=-3_600),
    "clock-wrong": put(not_before_offset_s=DAY_S),
    "certificate-unusable": spoilt,
}
IDS = {each.message_id: each for each in vars(events).values() if isinstance(each, events.Event)}


def check(device: Device, entry: Entry, event: events.Event) -> None:
    """The entry has every field, and the journal explains it with what the fields hold."""
    assert entry.priority == event.priority
    assert not [name for name in events.FIELDS if entry.fields.get(name, "") == "" and name != "TEDGE_PROFILE"]
    assert (entry.fields["RENEWAL_RESULT"], entry.fields["TEDGE_CLOUD"]) == (event.name, "c8y")
    known = event.name not in ("configuration-broken", "certificate-unusable")
    assert (entry.fields["TEDGE_DEVICE_ID"] == device.name) is known
    found = device.run(f"journalctl -x -n 1 --no-pager MESSAGE_ID={event.message_id}").stdout
    assert event.headline in found
    assert "-- Defined-By: tedge-cert-renewer" in found.replace("░░", "--")
    assert re.search(r"@[A-Z_]+@", found) is None
    assert known is False or device.name in found


# As many datagrams as the kernel keeps for a reader; of one sender it would keep fewer.
FILL = """
import socket
try:
    while True:
        filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        filler.sendto(b"MESSAGE=filler", "/run/systemd/journal/socket")
except BlockingIOError:
    print("full")
"""


def test_a_journald_that_is_stopped_holds_up_no_step(connected: Device) -> None:
    connected.systemctl("kill", "--signal=STOP", "systemd-journald.service")
    try:
        assert connected.run(f"python3 -c '{FILL}'").stdout == "full\n"
        done = connected.run("tedge cert verify c8y --debug", timeout_s=30)
    finally:
        connected.systemctl("kill", "--signal=CONT", "systemd-journald.service")
    assert "the event not-needed did not reach the journal: sending it took longer than 1 s" in done.stderr


def test_every_event(connected: Device, tenant: Tenant) -> None:
    seen: list[str] = []
    for names, situation in SITUATIONS.items():
        after = connected.cursor()
        situation(connected, tenant)
        found = [entry for entry in connected.journal(after=after) if entry.message_id in IDS]
        assert [IDS[entry.message_id].name for entry in found] == names.split(), names
        for entry in found:
            check(connected, entry, IDS[entry.message_id])
            if entry.fields["RENEWAL_STEP"] == "condition" or "renewed" in names:
                assert entry.unit == SERVICE
        seen += names.split()
    assert set(seen) == {event.name for event in IDS.values()}
    assert connected.stat(STATE).owner == "tedge"
