# SPDX-License-Identifier: Apache-2.0
"""README's screens, from a real run: `make screens` writes them between its marks."""

import re
from pathlib import Path

from demo.booted import beside_a_tenant
from demo.story import LONG_S, SHORT_S
from system import onboarding
from system.device import Device
from system.onboarding import TENANT
from system.renewer import SERVICE
from tenant.client import Tenant

NAMES = ("hour", "renewal", "unit", "status", "trouble")
DEVICE = "sensor-0815"
_JOURNAL = f"journalctl --no-hostname -u {SERVICE.removesuffix('.service')}"
_MASKS = (
    (r"\b(0x)?[0-9a-f]{24,}\b", "SERIAL"),
    (r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b,?", "DAY"),
    (r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b", "MONTH"),
    (r"\b(\d+(\.\d+)?(y|d|h|min|m|s|ms|us)\b ?)+", "DURATION "),
    # Whether a clock keeps the device's time is the machine's affair.
    (r"(?m)^Clock: .*", "Clock:"),
    (r"\d+", "0"),
)


def write(path: Path, release: str) -> None:
    """Put what the programs say today into the page."""
    with beside_a_tenant(release) as (device, tenant):
        found = capture(device, tenant)
    path.write_text(renewed(path.read_text(encoding="utf-8"), found), encoding="utf-8")


def capture(device: Device, tenant: Tenant) -> dict[str, str]:
    """Connect the device, let an hour strike, then one in which the certificate is due; what is seen of it."""
    tenant.settings(lifetime_s=SHORT_S)
    onboarding.connect(device, tenant, DEVICE)
    tenant.settings(lifetime_s=LONG_S)
    device.systemctl("start", SERVICE)
    hour = _new_lines(device)
    device.run("tedge config set certificate.validity.minimum_duration 90d")
    device.systemctl("start", SERVICE)
    device.run("tedge config unset certificate.validity.minimum_duration")
    renewal = _new_lines(device)
    unit = _typed(device, f"systemctl status --lines=0 {SERVICE.removesuffix('.service')}")
    status = _typed(device, "tedge cert status")
    device.systemctl("stop", "tedge-cert-renewer.target")
    trouble = _typed(device, "tedge cert status | head --lines=4")
    found = zip(NAMES, (hour, renewal, unit, status, trouble), strict=True)
    return {name: _as_at_home(text, tenant) for name, text in found}


def _new_lines(device: Device) -> str:
    """What the journal of the service has since it was last asked."""
    device.run("journalctl --sync")
    return f"# {_JOURNAL}\n{device.run(f'{_JOURNAL} --no-pager --cursor-file=/run/seen').stdout}"


def _typed(device: Device, command: str) -> str:
    return f"# {command}\n{device.run(command, check=False).stdout}"


def _as_at_home(text: str, tenant: Tenant) -> str:
    """The tenant of the run under a name and ports that a real one has."""
    text = text.replace(f"{TENANT}:{tenant.mqtt_port}", "example.cumulocity.com:8883")
    return text.replace(f"{TENANT}:{tenant.http_port}", "example.cumulocity.com")


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- screen {name}, made by make screens -->\n```\n)(.*?)(```\n)", re.DOTALL)


def renewed(page: str, screens: dict[str, str]) -> str:
    """The page with these screens in the place of its own."""
    for name, text in screens.items():
        page = _block(name).sub(lambda found, text=text: f"{found[1]}{text}{found[3]}", page)  # type: ignore[misc]
    return page


def shown(page: str) -> dict[str, str]:
    """The screens of the page."""
    return {name: found[2] for name in NAMES if (found := _block(name).search(page))}


def shape(screen: str) -> list[str]:
    """Its lines without what differs from run to run; sorted, as two senders are not always written in their order."""
    for mask, word in _MASKS:
        screen = re.sub(mask, word, screen)
    return sorted(line.rstrip() for line in screen.splitlines())
