# SPDX-License-Identifier: Apache-2.0
"""Packages with the names and leftovers of thin-edge's own, made here without any of their files.

Their ``tedge`` does nothing; what matters is owners, modes, mosquitto's line, units, and what their scripts delete.
Their mapper connects by itself where ``connect_by_mapper`` was called.
"""

from pathlib import Path

from system.device import Device
from system.machine import command
from system.onboarding import TENANT
from system.renewer import CERTIFICATE, DIRECTORY, KEY
from tenant.client import Tenant

STAND_IN = Path(__file__).resolve().parents[1] / "stand_in/mapper.py"
# What their ``tedge`` was called with; and with what the mapper of each instance starts.
CALLS = "/run/calls-of-tedge"
MAPPERS = "/usr/share/tedge-mapper/instances"
MAPPER = "tedge-mapper-c8y.service"
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
# In the shape of theirs: as root, four lines, and their one command, which here only notes what it was called with.
_RENEWER = """[Unit]
Description=their renewer of {of}
After=network-online.target
StartLimitIntervalSec=0
PartOf=tedge-cert-renewer{kind}.target
[Service]
Type=oneshot
User=root
Environment=RENEW_WITH_CA=c8y
ExecCondition=/usr/bin/tedge cert needs-renewal {words}
ExecStartPre=/usr/bin/tedge cert renew {words} --ca ${{RENEW_WITH_CA}}
ExecStart=/usr/bin/tedge reconnect {words}
ExecStopPost=/bin/sh -c 'rm -f "$(/usr/bin/tedge config get c8y.device.cert_path).new"'
[Install]
WantedBy=multi-user.target
"""
_TIMER = """[Unit]
Description=their timer
PartOf=tedge-cert-renewer{kind}.target
[Timer]
OnCalendar=hourly
Persistent=true
RandomizedDelaySec=5m
[Install]
WantedBy=timers.target
"""
_MAPPER = """[Unit]
Description=their mapper
After=network.target mosquitto.service
Wants={timer}
[Service]
User=tedge
ExecStart=/usr/bin/tedge-mapper c8y {option}
Restart=on-failure
RestartPreventExitStatus=255
RestartSec=5
[Install]
WantedBy=multi-user.target
"""
_MAPPER_POSTINST = """#!/bin/sh
set -e
systemctl daemon-reload
[ -e /etc/tedge/mosquitto-conf/c8y-bridge.conf ] || exit 0
# It writes the bridges anew, at each upgrade.
systemctl restart mosquitto.service
systemctl enable --now tedge-mapper-c8y.service
"""
_MAPPER_PRERM = '#!/bin/sh\nset -e\n[ "$1" != remove ] || systemctl disable --now tedge-mapper-c8y.service\n'
_MAPPER_POSTRM = "#!/bin/sh\nset -e\nsystemctl daemon-reload\n"
# With the bridge in mosquitto it has no part in what is tested, and does nothing.
_MAPPER_PROGRAM = f"""#!/bin/sh
name=$1${{3:+@$3}}
[ -r {MAPPERS}/$name ] || exec sleep infinity
read -r told < {MAPPERS}/$name
# -S: it starts sooner without the module site.
PYTHONPATH=/usr/lib/python3/dist-packages exec /usr/bin/python3 -S /usr/share/tedge-mapper/mapper.py $told
"""
_AGENT = "[Unit]\nDescription=their agent\n[Service]\nUser=tedge\nExecStart=/usr/bin/sleep infinity\n"
_UNITS = "lib/systemd/system"
_KINDS = {"": ("%i", "%i"), "-c8y": ("c8y (profile=%i)", "c8y --profile %i")}
_PACKAGES: dict[str, dict[str, str]] = {
    "tedge": {
        "DEBIAN/preinst": _PREINST,
        "DEBIAN/postinst": _POSTINST,
        "DEBIAN/postrm": _POSTRM,
        "usr/bin/tedge": f'#!/bin/sh\necho "$*" >> {CALLS}\n',
    },
    "tedge-mapper": {
        "DEBIAN/postinst": _MAPPER_POSTINST,
        "DEBIAN/prerm": _MAPPER_PRERM,
        "DEBIAN/postrm": _MAPPER_POSTRM,
        "usr/bin/tedge-mapper": _MAPPER_PROGRAM,
        "usr/share/tedge-mapper/mapper.py": STAND_IN.read_text(encoding="utf-8"),
        f"{_UNITS}/tedge-mapper-c8y.service": _MAPPER.format(timer="tedge-cert-renewer@c8y.timer", option=""),
        f"{_UNITS}/tedge-mapper-c8y@.service": _MAPPER.format(
            timer="tedge-cert-renewer-c8y@%i.timer", option="--profile %i"
        ),
        **{
            f"{_UNITS}/tedge-cert-renewer{kind}@.service": _RENEWER.format(kind=kind, of=of, words=words)
            for kind, (of, words) in _KINDS.items()
        },
        **{f"{_UNITS}/tedge-cert-renewer{kind}@.timer": _TIMER.format(kind=kind) for kind in _KINDS},
    },
    "tedge-agent": {f"{_UNITS}/tedge-agent.service": _AGENT},
}
_DEPENDS = {"tedge": "", "tedge-mapper": "Depends: tedge\n", "tedge-agent": "Depends: tedge\n"}

# As it configures a bridge in mosquitto; the listener is the broker's own.
_BRIDGE = """### Bridge
connection edge_to_c8y{suffix}
address {tenant}:{port}
bridge_capath /etc/ssl/certs
remote_clientid {name}
local_clientid Cumulocity{suffix}
bridge_certfile {certificate}
bridge_keyfile {key}
try_private false
start_type automatic
cleansession true
local_cleansession false
notifications true
notifications_local_only true
notification_topic te/device/main/service/mosquitto-{prefix}-bridge/status/health
bridge_attempt_unsubscribe false

### Topics
topic s/us/# out 1 {prefix}/ ""
topic s/uat out 0 {prefix}/ ""
topic s/dat in 0 {prefix}/ ""
"""
_DEFAULT = {"suffix": "", "prefix": "c8y"}
_LISTENER = "per_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\n"


def build(directory: Path, version: str = "1.7.1", agent: bool = False) -> list[Path]:
    """The packages, in the order in which they are installed; by default without the agent."""
    made = []
    for name in list(_PACKAGES)[: 3 if agent else 2]:
        files = _PACKAGES[name]
        tree = directory / version / name
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.invalid>\n"
        )
        text = {"DEBIAN/control": f"{control}{_DEPENDS[name]}Description: stands in for {name}\n", **files}
        for path, content in text.items():
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            file.chmod(0o755 if content.startswith("#!") else 0o644)
        made.append(directory / f"{name}_{version}_all.deb")
        command(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(made[-1])])
    return made


def register(device: Device, tenant: Tenant) -> None:
    """Let the device be one that thin-edge's ``tedge`` registered, with the owners and modes that it gives."""
    _certify(device, tenant, device.name, KEY, CERTIFICATE)
    toml = f"# as thin-edge wrote it\n[c8y]\n{_hosts(tenant)}"
    device.write("/etc/tedge/tedge.toml", toml, owner="tedge:tedge")


def _certify(device: Device, tenant: Tenant, device_id: str, key: str, certificate: str) -> None:
    device.run(f"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {key}")
    csr = device.run(f"openssl req -new -key {key} -subj '/CN={device_id}/O=Thin Edge/OU=Device'").stdout
    device.write(certificate, tenant.issue(csr, lifetime_s=300 * 86_400))
    device.run(f"chown mosquitto:mosquitto {key} {certificate}; chmod 0400 {key}; chmod 0444 {certificate}")


def _hosts(tenant: Tenant) -> str:
    return f'url = "{TENANT}"\nhttp = "{TENANT}:{tenant.http_port}"\nmqtt = "{TENANT}:{tenant.mqtt_port}"\n'


def connect(device: Device, tenant: Tenant) -> None:
    """Let it be one that thin-edge's ``tedge`` has connected by mosquitto, too."""
    register(device, tenant)
    facts = {"tenant": TENANT, "port": tenant.mqtt_port, "name": device.name}
    device.write(BRIDGE, _BRIDGE.format(**facts, **_DEFAULT, certificate=CERTIFICATE, key=KEY), owner="tedge:tedge")
    device.write("/etc/tedge/mosquitto-conf/tedge-mosquitto.conf", _LISTENER)
    device.run("systemctl restart mosquitto.service; systemctl enable --now tedge-mapper-c8y.service")
    tenant.wait_connected(device.name)


def connect_by_mapper(device: Device, tenant: Tenant) -> None:
    """Let it be one that thin-edge's mapper has connected, with the bridge that is built into it."""
    register(device, tenant)
    device.run(f"chown tedge:tedge {KEY} {CERTIFICATE}")
    device.write(BRIDGE, "# The built-in bridge is enabled, so there is none here.\n")
    device.write("/etc/tedge/mosquitto-conf/tedge-mosquitto.conf", _LISTENER)
    told = f"--cloud {TENANT}:{tenant.mqtt_port} --ca /etc/ssl/certs --cert {CERTIFICATE} --key {KEY}"
    device.write(f"{MAPPERS}/c8y", f"{told} --device-id {device.name}\n")
    device.run(f"systemctl restart mosquitto.service; systemctl enable --now {MAPPER}")
    tenant.wait_connected(device.name)


def make_due(device: Device, tenant: Tenant) -> None:
    """As ``make_due`` of ``renewer``, which needs our own ``tedge``."""
    tenant.settings(lifetime_s=400 * 86_400)
    device.run("printf '[certificate.validity]\\nminimum_duration = \"366d\"\\n' >> /etc/tedge/tedge.toml")


def connect_profile(device: Device, tenant: Tenant, profile: str) -> None:
    """Let a device that mosquitto connects have a profile too, with a device id, key and certificate of its own."""
    name = f"{device.name}-{profile}"
    pair = {"key": f"{DIRECTORY}/{profile}-key.pem", "certificate": f"{DIRECTORY}/{profile}.pem"}
    _certify(device, tenant, name, **pair)
    paths = f'device.cert_path = "{pair["certificate"]}"\ndevice.key_path = "{pair["key"]}"\n'
    toml = f'[c8y.profiles.{profile}]\n{_hosts(tenant)}bridge.topic_prefix = "c8y-{profile}"\n{paths}'
    device.write("/etc/tedge/tedge.toml", f"{device.read('/etc/tedge/tedge.toml')}{toml}", owner="tedge:tedge")
    facts = {"tenant": TENANT, "port": tenant.mqtt_port, "name": name, "suffix": f"@{profile}"}
    bridge = _BRIDGE.format(**facts, **pair, prefix=f"c8y-{profile}")
    device.write(BRIDGE.replace("c8y-", f"c8y@{profile}-"), bridge, owner="tedge:tedge")
    device.systemctl("restart", "mosquitto.service")
    tenant.wait_connected(name)
