# SPDX-License-Identifier: Apache-2.0
"""The story without systemd: the steps as cron runs them, mosquitto and the tenant as child processes."""

from pathlib import Path
from tempfile import TemporaryDirectory

from demo.story import LONG_S, SHORT_S, heading, told, typed
from tenant.client import Tenant
from unit.local_device import LocalDevice


def tell() -> None:
    """Register, connect, check, renew, in a directory that is gone afterwards."""
    with TemporaryDirectory(prefix="tedge-demo-") as name, Tenant.start(Path(name) / "tenant") as tenant:
        device = LocalDevice(Path(name) / "device", tenant, "demo-device")
        tenant.settings(lifetime_s=SHORT_S)
        try:
            heading("1. The device registers with a one-time password for a certificate of 60 days, and connects")
            result = device.register("first-boot-password")
            typed("$ ", f"tedge cert download c8y --device-id {device.device_id}", result.stderr + result.stdout)
            result = device.connect()
            typed("$ ", "tedge connect c8y", result.stderr + result.stdout)
            heading("2. The check: nothing is due")
            _type(device, "tedge-cert-needs-renewal c8y")
            heading("3. With a threshold of 90 days it is due: renewed, proved, switched, confirmed")
            before = str(tenant.device(device.device_id)["serial"])
            tenant.settings(lifetime_s=LONG_S)
            _type(device, "tedge-config set certificate.validity.minimum_duration 90d")
            for step in ("needs-renewal", "renew", "verify", "cleanup"):
                _type(device, f"tedge-cert-{step} c8y")
            after = str(tenant.wait_connected(device.device_id, not_serial=before)["serial"])
            told(f"the tenant saw serial {int(before):x} before, and sees {int(after):x} now")
        finally:
            device.stop_broker()


def _type(device: LocalDevice, words: str) -> None:
    result = device.run(words)
    typed("$ ", f"{words}   # exit {result.exit}", result.stderr + result.stdout)
