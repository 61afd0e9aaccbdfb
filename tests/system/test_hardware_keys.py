# SPDX-License-Identifier: Apache-2.0
"""A private key in a TPM of software, from the installation to the renewal, on a booted device."""

import re
from pathlib import Path

import pytest

from system import renewer
from system.debs import with_common
from system.device import Device
from system.devices import Devices
from system.onboarding import PASSWORD, TENANT
from system.renewer import KEY, SERVICE, make_due, said, start
from system.test_confinement import STEPS
from system.test_readme import README, lines_of_block
from tenant.client import Tenant

pytestmark = pytest.mark.own_device

ID, SENT = "sensor-0815", 100
STATE, OTHER = "/var/lib/swtpm", "/run/other-tpm"
SOFTWARE_TPM = (
    "swtpm socket --tpm2 --flags not-need-init,startup-clear --tpmstate dir={directory} "
    "--server type=unixio,path={directory}/end,mode=0666 --ctrl type=unixio,path={directory}/end.ctrl"
)
SWTPM = f"""\
[Service]
User=tss
StateDirectory=swtpm
ExecStart={SOFTWARE_TPM.format(directory=STATE)}
"""
# Debian's unit requires /dev/tpm0, and no drop-in takes that away.
BROKER_OF_TPM = f"""\
[Unit]
Requires=swtpm.service
After=swtpm.service
[Service]
Type=dbus
BusName=com.intel.tss2.Tabrmd
User=tss
ExecStartPre=sh -c 'until test -S {STATE}/end; do sleep 0.1; done'
ExecStart=tpm2-abrmd --tcti=swtpm:path={STATE}/end
"""
WRITE_DROP_INS = """\
import sys
sys.path.insert(0, "/usr/lib/tedge-cert-renewer")
from tedge_cert.commands import provider_files
from tedge_cert.device.instance import load_instance
provider_files.update(load_instance("c8y", "", "/etc/tedge"), tpm=True)
"""


@pytest.fixture
def _off(devices: Devices) -> Device:
    """Begin with a device with a TPM, and without our package."""
    device = devices.make("tpm")
    device.write("/etc/systemd/system/swtpm.service", SWTPM)
    device.write("/etc/systemd/system/tpm2-abrmd.service", BROKER_OF_TPM)
    device.write("/etc/apt/apt.conf.d/90-test", 'APT::Install-Recommends "false";\nAPT::Get::Assume-Yes "true";\n')
    return device


def install_and_connect(device: Device, tenant: Tenant, package: Path) -> None:
    """Type what README says, with its line for the TPM in between; only names and a known password differ."""
    for each in with_common(package):
        device.copy_in(each, f"/root/{each.name}")
    in_tpm = re.search(r"`(sudo apt install tpm2-openssl && .*?)`", README.read_text(encoding="utf-8"))
    assert in_tpm is not None
    tenant.register(ID, PASSWORD)
    said = ""
    for line in lines_of_block("tedge connect")[1:]:
        typed = line.replace("example.cumulocity.com", TENANT)
        if "cert download" in line:
            for key, port in (("http", tenant.http_port), ("mqtt", tenant.mqtt_port)):
                device.run(f"tedge config set c8y.{key} {TENANT}:{port}")
            # A container has no /dev/tpmrm0.
            device.run("tedge config set device.tpm.tcti tabrmd")
            device.run(in_tpm.group(1), timeout_s=100)
            typed += f" --one-time-password {PASSWORD}"
        if "tedge connect" in line:
            the_servers_tls_is_tried(device)
        said = device.run(f"cd /root && {typed}", timeout_s=300).stdout
    assert said.startswith("c8y\nStatus:        healthy\n")


def the_servers_tls_is_tried(device: Device) -> None:
    """On Debian 12, connect to a server that offers less than TLS 1.3 with X25519: nothing is configured."""
    if not device.run("openssl version").stdout.startswith("OpenSSL 3.0."):
        return
    mqtt = device.run("tedge config get c8y.mqtt").stdout.strip()
    kind = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    device.run(f"cd /run && openssl req -x509 {kind} -keyout key -out cert -subj /CN=x")
    server = device.start("cd /run && exec openssl s_server -accept 8885 -key key -cert cert -tls1_2 -www")
    server.expect("ACCEPT")
    device.run("tedge config set c8y.mqtt localhost:8885")
    refused = device.run("tedge connect c8y", check=False)
    assert (refused.exit_code, device.exists("/etc/tedge/mosquitto-conf/c8y-bridge.conf")) == (1, False)
    assert "Debian 12 can TLS 1.3 with X25519 only" in refused.stderr, refused.stderr
    assert "apt install -t bookworm-backports pkcs11-provider" in refused.stderr
    server.stop()
    device.run(f"tedge config set c8y.mqtt {mqtt}")


def test_a_device_lives_with_its_key_in_the_tpm(device: Device, tenant: Tenant, package: Path) -> None:
    install_and_connect(device, tenant, package)
    facts, key = device.stat(KEY), device.read(KEY)
    assert (facts.owner, facts.group, facts.mode) == ("tedge", "mosquitto", 0o640)
    assert key.startswith("-----BEGIN TSS2 PRIVATE KEY-----")
    renews_and_nobody_notices(device, tenant)
    device.run("tedge http get /c8y/tenant/currentTenant")
    device.run("tedge cert create-csr c8y --output-path /root/request.pem")
    device.run("openssl req -in /root/request.pem -verify -noout")
    assert device.read(KEY) == key
    renews_with_a_new_key(device, tenant)

    # Of use on this TPM only.
    other = f"TPM2OPENSSL_TCTI=swtpm:path={OTHER}/end"
    device.run(f"install -d -o tss {OTHER}")
    device.start(SOFTWARE_TPM.format(directory=OTHER).split(), user="tss")
    device.wait_for(f"test -S {OTHER}/end")
    refused = device.run(f"{other} tedge cert create-csr c8y --output-path /root/other.pem", check=False)
    assert (refused.exit_code, device.exists("/root/other.pem")) == (1, False)
    assert "expected the TPM in which the key was made" in refused.stderr

    # mosquitto opens the TPM when it starts, and finds it after a power cut too.
    before = len(tenant.device(ID)["connections"])
    device.power_cut()
    device.boot()
    tenant.wait_connected(ID, connections=before + 1)

    # A broker that has lost the TPM is named, and `reconnect` gives it back.
    device.systemctl("restart", "tpm2-abrmd.service")
    tenant.drop(ID)
    device.wait_for(r"tedge cert status | grep -A1 'may have lost it since' | grep -q '=> sudo tedge reconnect c8y'")
    device.run("tedge reconnect c8y")
    tenant.wait_connected(ID)

    # Without network and TPM, the status of a user who may read neither key nor TPM is as good as ever.
    device.cut()
    device.run("rm /usr/sbin/tpm2-abrmd; systemctl stop tpm2-abrmd swtpm")
    for user in ("nobody", None):
        assert '"fits": true' in device.run("tedge cert status --json", user=user, check=False).stdout

    only_the_device_is_opened(device)


def renews_with_a_new_key(device: Device, tenant: Tenant) -> None:
    """Renew by the unit, which makes the new key in the TPM."""
    former, old = device.read(KEY), tenant.device(ID)["serial"]
    # The threshold is still longer than a certificate lives.
    device.run(f"""sed -i 's/"guarded": [0-9]*/"guarded": 0/' {renewer.STATE}""")
    device.run("tedge config set certificate.rotate_key true")
    run = start(device)
    assert (run.exit_code, run.outcome) == (0, "success"), run.lines
    tenant.wait_connected(ID, not_serial=old)
    made = device.read(KEY)
    assert made.startswith("-----BEGIN TSS2 PRIVATE KEY-----")
    assert made != former


def renews_and_nobody_notices(device: Device, tenant: Tenant) -> None:
    """Renew by the unit while a client sends: no local connection ends, and no message is lost."""
    old, broker = tenant.wait_connected(ID)["serial"], device.unit("mosquitto.service", "MainPID")
    watcher = device.subscribe("#")
    sender = device.start(
        f"for i in $(seq {SENT}); do mosquitto_pub -q 1 -t c8y/s/us -m 400,counted,$i; done; echo all sent"
    )
    make_due(device)
    run = start(device)
    assert (run.exit_code, run.outcome) == (0, "success"), run.lines
    tenant.wait_connected(ID, not_serial=old)
    sender.expect("all sent", 60)
    device.run("mosquitto_pub -q 1 -t c8y/s/us -m 400,counted,last")
    tenant.wait_messages(ID, SENT + 1, topic="s/us")
    counted = {each["payload"] for each in tenant.messages(ID, "s/us")}
    assert counted >= {f"400,counted,{number + 1}" for number in range(SENT)}
    assert device.unit("mosquitto.service", "MainPID") == broker
    assert sum("CONNACK" in line for line in watcher.lines) == 1
    watcher.stop()


def only_the_device_is_opened(device: Device) -> None:
    """Check the drop-ins for a device of the kernel, whose place a node takes that anyone may have in a container."""
    device.run("mknod /dev/tpmrm0 c 1 3; chown tss:tss /dev/tpmrm0; chmod 660 /dev/tpmrm0")
    device.run("tedge config set device.tpm.tcti device:/dev/tpmrm0")
    device.run(["python3", "-c", WRITE_DROP_INS])
    steps = "".join(f"{step}=\n" for step in STEPS)
    for unit in (SERVICE, "tedge-cert-download@c8y.service"):
        overall = device.run(f"systemd-analyze security --no-pager {unit} | tail -1").stdout
        assert float(overall.split(":")[1].split()[0]) <= 1.5, overall
        probe = f"[Unit]\nConditionPathExists=\n[Service]\n{steps}ExecStart=sh -c 'exec 3<>/dev/tpmrm0; ls /dev'\n"
        device.write(f"/etc/systemd/system/{unit}.d/90-probe.conf", probe)
        device.systemctl("daemon-reload")
        run = device.start_unit(unit)
        assert (run.outcome, said(run, "tpmrm0")) == ("success", True), run.lines
