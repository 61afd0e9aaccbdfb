# SPDX-License-Identifier: Apache-2.0
"""A renewal on this machine, under its systemd, with the commands of the installed package."""

import shlex
import subprocess
import sys
from pathlib import Path

from tenant.client import Tenant

HOST, NAME, PASSWORD = "tenant.test", "autopkgtest-1", "first-boot-password"
SERVICE = "tedge-cert-renewer@c8y.service"


def run(command: str) -> str:
    """What the command printed; what it says besides goes to the log of the test."""
    print(f"$ {command}", flush=True)
    return subprocess.run(shlex.split(command), check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    with Tenant.start(Path(sys.argv[1]) / "tenant", [HOST, "127.0.0.1"]) as tenant:
        with Path("/etc/hosts").open("a", encoding="utf-8") as hosts:
            hosts.write(f"127.0.0.1 {HOST}\n")
        Path("/usr/local/share/ca-certificates/tenant.crt").write_text(tenant.server_ca.read_text())
        run("update-ca-certificates")
        run(f"tedge config set c8y.url {HOST}")
        run(f"tedge config set c8y.http {HOST}:{tenant.http_port}")
        run(f"tedge config set c8y.mqtt {HOST}:{tenant.mqtt_port}")
        tenant.register(NAME, PASSWORD)
        run(f"tedge cert download c8y --device-id {NAME} --one-time-password {PASSWORD}")
        run("tedge connect c8y")
        before = str(tenant.wait_connected(NAME)["serial"])
        run(f"systemctl start {SERVICE}")
        assert str(tenant.wait_connected(NAME)["serial"]) == before, "renewed although nothing was due"
        run("tedge config set certificate.validity.minimum_duration 366d")
        try:
            run(f"systemctl start {SERVICE}")
            tenant.wait_connected(NAME, not_serial=before)
        finally:
            print(run(f"journalctl --no-pager -u {SERVICE}"))
        print(run("tedge cert show"))
        run("systemctl is-active tedge-cert-renewer@c8y.timer")


if __name__ == "__main__":
    main()
