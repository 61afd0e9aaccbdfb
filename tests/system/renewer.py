# SPDX-License-Identifier: Apache-2.0
"""Names and small steps that the tests of the renewer share."""

from system.device import Device
from system.journal import UnitRun
from system.onboarding import preset
from tenant.client import Tenant

SERVICE = "tedge-cert-renewer@c8y.service"
TIMER = "tedge-cert-renewer@c8y.timer"
DIRECTORY = "/etc/tedge/device-certs"
CERTIFICATE = f"{DIRECTORY}/tedge-certificate.pem"
CANDIDATE = f"{CERTIFICATE}.new"
PREVIOUS = f"{CERTIFICATE}.previous"
STATE = "/var/lib/tedge-cert-renewer/c8y.json"
KEY = f"{DIRECTORY}/tedge-private-key.pem"


def make_due(device: Device) -> None:
    """Raise the threshold above what is left of any certificate of a year."""
    preset(device, certificate__validity__minimum_duration="366d")


def serial(tenant: Tenant, device: Device) -> str:
    """The serial number of the certificate that the device is connected with."""
    return str(tenant.device(device.name)["serial"])


def start(device: Device, timeout_s: float = 400) -> UnitRun:
    """Start the service and see how it ends."""
    return device.start_unit(SERVICE, timeout_s)


def expect_renewal(device: Device, tenant: Tenant) -> None:
    """Make the certificate due; check that the unit renews it and the bridge returns with the new one."""
    old = serial(tenant, device)
    tenant.settings(lifetime_s=400 * 86_400)
    make_due(device)
    run = start(device)
    assert run.outcome == "success", run.lines
    tenant.wait_connected(device.name, not_serial=old)


def main_status(device: Device) -> str:
    """The exit status of the step `ExecStart`."""
    return device.unit(SERVICE, "ExecMainStatus")["ExecMainStatus"]


def enrolments(tenant: Tenant) -> int:
    """How many certificates have been asked for with a token."""
    return sum(each["path"].endswith("simplereenroll") for each in tenant.state()["requests"])


def said(run: UnitRun, text: str) -> bool:
    """Whether a line of the run holds the text."""
    return any(text in line for line in run.lines)


def wait_out(device: Device) -> None:
    """End the pause after a failure, so that the next attempt may be made now."""
    device.run(f"""sed -i 's/"next_attempt_s": [0-9]*/"next_attempt_s": 1/' {STATE}""")
