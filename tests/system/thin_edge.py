# SPDX-License-Identifier: Apache-2.0
"""Packages with the names and leftovers of thin-edge's own, made here without any of their files.

Their ``tedge`` does nothing; what matters is owners, modes, mosquitto's line, units, and what their scripts delete.
"""

from pathlib import Path

from system.device import Device
from system.machine import command
from system.onboarding import TENANT
from system.renewer import CERTIFICATE, DIRECTORY, KEY
from tenant.client import Tenant

BRIDGE = "/etc/tedge/mosquitto-conf/c8y-bridge.conf"
INCLUDE = "include_dir /etc/tedge/mosquitto-conf"
_MAIN = "/etc/mosquitto/mosquitto.conf"

_PREINST = """#!/bin/sh
set -e
getent group tedge >/dev/null || groupadd --system tedge
getent passwd tedge >/dev/null || useradd --system --no-create-home --shell /sbin/nologin --gid tedge tedge
mkdir -p /etc/sudoers.d
echo 'tedge ALL = (ALL) NOPASSWD:SETENV: /usr/bin/tedge, /bin/sync' > /etc/sudoers.d/tedge
"""
_POSTINST = f"""#!/bin/sh
set -e
grep -q '^{INCLUDE}' {_MAIN} || sed -i '0,/include_dir/s,.*include_dir.*,{INCLUDE}\\n&,' {_MAIN}
for each in /etc/tedge /etc/tedge/mosquitto-conf /etc/tedge/operations /etc/tedge/device-certs /var/log/tedge; do
    [ -d $each ] || install -d -o tedge -g tedge -m 0775 $each
done
[ -e /etc/tedge/system.toml ] || printf '[init]\\nname = "systemd"\\n' > /etc/tedge/system.toml
"""
_POSTRM = f"""#!/bin/sh
set -e
if [ "$1" = purge ]; then
    userdel tedge || true
    groupdel tedge || true
    sed -i '\\,^{INCLUDE},d' {_MAIN}
    rm -rf /etc/tedge /var/log/tedge
    rm -f /etc/sudoers.d/tedge
fi
"""
_RENEWER = "[Unit]\nDescription=their renewer\n[Service]\nType=oneshot\nExecStart=/bin/true\n"
_TIMER = "[Unit]\nDescription=their timer\n[Timer]\nOnCalendar=hourly\n[Install]\nWantedBy=timers.target\n"
_MAPPER = """[Unit]
Description=their mapper
Wants=tedge-cert-renewer@c8y.timer
[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
_MAPPER_POSTINST = """#!/bin/sh
set -e
systemctl daemon-reload
[ ! -e /etc/tedge/mosquitto-conf/c8y-bridge.conf ] || systemctl enable --now tedge-mapper-c8y.service
"""
_MAPPER_PRERM = '#!/bin/sh\nset -e\n[ "$1" != remove ] || systemctl disable --now tedge-mapper-c8y.service\n'
_UNITS = "lib/systemd/system"
_PACKAGES: dict[str, dict[str, str]] = {
    "tedge": {
        "DEBIAN/preinst": _PREINST,
        "DEBIAN/postinst": _POSTINST,
        "DEBIAN/postrm": _POSTRM,
        "usr/bin/tedge": "#!/bin/sh\nexit 0\n",
    },
    "tedge-mapper": {
        "DEBIAN/postinst": _MAPPER_POSTINST,
        "DEBIAN/prerm": _MAPPER_PRERM,
        f"{_UNITS}/tedge-mapper-c8y.service": _MAPPER,
        **{f"{_UNITS}/tedge-cert-renewer{kind}@.service": _RENEWER for kind in ("", "-c8y")},
        **{f"{_UNITS}/tedge-cert-renewer{kind}@.timer": _TIMER for kind in ("", "-c8y")},
    },
}
_DEPENDS = {"tedge": "", "tedge-mapper": "Depends: tedge\n"}

# As it configures a bridge in mosquitto; the listener is the broker's own.
_BRIDGE = """### Bridge
connection edge_to_c8y
address {tenant}:{port}
bridge_capath /etc/ssl/certs
remote_clientid {name}
local_clientid Cumulocity
bridge_certfile {certificate}
bridge_keyfile {key}
try_private false
start_type automatic
cleansession true
notifications true
notifications_local_only true
notification_topic te/device/main/service/mosquitto-c8y-bridge/status/health
bridge_attempt_unsubscribe false

### Topics
topic s/us/# out 1 c8y/ ""
topic s/uat out 0 c8y/ ""
topic s/dat in 0 c8y/ ""
"""


def build(directory: Path) -> list[Path]:
    """The packages, in the order in which they are installed."""
    made = []
    for name, files in _PACKAGES.items():
        tree = directory / name
        control = f"Package: {name}\nVersion: 1.7.1\nArchitecture: all\nMaintainer: nobody <nobody@example.invalid>\n"
        text = {"DEBIAN/control": f"{control}{_DEPENDS[name]}Description: stands in for {name}\n", **files}
        for path, content in text.items():
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            file.chmod(0o755 if content.startswith("#!") else 0o644)
        made.append(directory / f"{name}.deb")
        command(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(made[-1])])
    return made


def register(device: Device, tenant: Tenant) -> None:
    """Let the device be one that thin-edge's ``tedge`` registered, with the owners and modes that it gives."""
    subject = f"/CN={device.name}/O=Thin Edge/OU=Device"
    device.run(f"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {KEY}")
    csr = device.run(f"openssl req -new -key {KEY} -subj '{subject}'").stdout
    device.write(CERTIFICATE, tenant.issue(csr, lifetime_s=300 * 86_400))
    device.run(f"chown mosquitto:mosquitto {DIRECTORY}/*; chmod 0400 {KEY}; chmod 0444 {CERTIFICATE}")
    toml = f'[c8y]\nurl = "{TENANT}"\nhttp = "{TENANT}:{tenant.http_port}"\nmqtt = "{TENANT}:{tenant.mqtt_port}"\n'
    device.write("/etc/tedge/tedge.toml", f"# as thin-edge wrote it\n{toml}", owner="tedge:tedge")


def connect(device: Device, tenant: Tenant) -> None:
    """Let it be one that thin-edge's ``tedge`` has connected by mosquitto, too."""
    register(device, tenant)
    facts = {"tenant": TENANT, "port": tenant.mqtt_port, "name": device.name}
    device.write(BRIDGE, _BRIDGE.format(**facts, certificate=CERTIFICATE, key=KEY), owner="tedge:tedge")
    device.write("/etc/tedge/mosquitto-conf/tedge-mosquitto.conf", "listener 1883 127.0.0.1\nallow_anonymous true\n")
    device.run("systemctl restart mosquitto.service; systemctl enable --now tedge-mapper-c8y.service")
    tenant.wait_connected(device.name)
