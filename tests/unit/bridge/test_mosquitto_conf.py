# SPDX-License-Identifier: Apache-2.0
"""Mosquitto's configuration, directive by directive, and the links by which the broker finds it."""

from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.bridge import conf_files, mosquitto_conf
from tedge_cert.bridge.mosquitto_conf import listener_text
from tedge_cert.config import settings
from tedge_cert.device import connection_settings
from tedge_cert.device.instance import load_instance
from unit.connected import certify, connect, files_of, instance_of, mosquitto_of
from unit.local_client import Local
from unit.local_device import LocalDevice

LISTENER = """\
per_listener_settings true
connection_messages true
log_type error
log_type warning
log_type notice
log_type information
log_type subscribe
log_type unsubscribe
message_size_limit 268435455
listener {port} 127.0.0.1
allow_anonymous true
require_certificate false
"""
BRIDGE = """\
### Bridge
connection edge_to_c8y{at}
address 127.0.0.1:{mqtt}
bridge_cafile {trust}
remote_clientid {name}
local_clientid Cumulocity{at}
bridge_certfile {certs}/cert.pem
bridge_keyfile {certs}/key.pem
try_private false
start_type automatic
cleansession true
local_cleansession false
notifications true
notifications_local_only true
notification_topic te/device/main/service/mosquitto-{prefix}-bridge/status/health
bridge_attempt_unsubscribe false
keepalive_interval 60
restart_timeout 1 30

### Topics
"""
TOPICS = """\
s/dt in 1
s/ut/# out 1
s/us/# out 1
t/us/# out 1
q/us/# out 1
c/us/# out 1
s/ds in 1
s/e in 0
s/uc/# out 1
t/uc/# out 1
q/uc/# out 1
c/uc/# out 1
s/dc/# in 1
inventory/managedObjects/update/# out 1
measurement/measurements/create out 1
measurement/measurements/createBulk out 1
event/events/create out 1
event/events/createBulk out 1
alarm/alarms/create out 1
alarm/alarms/createBulk out 1
devicecontrol/notifications in 1
error in 1
s/uat out 0
s/dat in 0
"""
TEMPLATES = "s/uc/one out 1\ns/dc/one in 1\ns/uc/two out 1\ns/dc/two in 1\n"
TEMPLATES_1 = (
    "s/ul/# out 1\nt/ul/# out 1\nq/ul/# out 1\nc/ul/# out 1\ns/dl in 1\n"
    "s/ul/old out 1\ns/dl/old in 1\ns/ol/old in 1\n"
)  # fmt: skip


def expected(device: LocalDevice, topics: str, at: str = "", prefix: str = "c8y") -> str:
    certs, tenant = device.directory / "certs", device.tenant
    head = BRIDGE.format(
        at=at, mqtt=tenant.mqtt_port, trust=tenant.server_ca, name=device.device_id, certs=certs, prefix=prefix
    )
    return head + "".join(f'topic {each} {prefix}/ ""\n' for each in topics.splitlines())


def test_the_files(local_device: LocalDevice) -> None:
    certify(local_device)
    wanted = mosquitto_of(local_device)
    assert listener_text(wanted.listener) == LISTENER.format(port=local_device.port)
    assert mosquitto_conf.bridge_text(wanted) == expected(local_device, TOPICS)


def test_settings_of_the_bridge(local_device: LocalDevice) -> None:
    """The broker accepts every line of it."""
    certify(local_device)
    file = local_device.directory / "tedge.toml"
    more = 'smartrest.templates = ["one", "two"]\nsmartrest1.templates = ["old"]\nbridge.keepalive_interval = "2m"\n'
    file.write_text(file.read_text().replace("[c8y]\n", f'[c8y]\nbridge.topic_prefix = "pre"\n{more}'))
    found = mosquitto_conf.bridge_text(mosquitto_of(local_device))
    text = expected(local_device, TOPICS + TEMPLATES + TEMPLATES_1, prefix="pre")
    assert found == text.replace("keepalive_interval 60", "keepalive_interval 120")
    file.write_text(file.read_text().replace('bridge.topic_prefix = "pre"\n', ""))
    connect(local_device)


def test_a_profile_and_a_directory_of_anchors(local_device: LocalDevice, tmp_path: Path) -> None:
    certify(local_device)
    file = local_device.directory / "tedge.toml"
    own = file.read_text().partition("[c8y]\n")[2].partition("[mqtt.bind]")[0]
    own = own.replace(f'"{local_device.tenant.server_ca}"', f'"{tmp_path}"')
    file.write_text(f'{file.read_text()}[c8y.profiles.second]\n{own}bridge.topic_prefix = "c8y-second"\n')
    instance = load_instance("c8y", "second", str(local_device.directory))
    tenant = connection_settings.tenant_of(instance)
    text = expected(local_device, TOPICS, "@second", "c8y-second")
    assert mosquitto_conf.bridge_text(connection_settings.mosquitto_of(instance, tenant)) == text.replace(
        f"bridge_cafile {local_device.tenant.server_ca}", f"bridge_capath {tmp_path}"
    )
    assert instance.bridge_file.name == "c8y@second-bridge.conf"


@pytest.mark.parametrize("included", [False, True])
def test_the_way_from_the_brokers_own_configuration(
    local_device: LocalDevice, mocker: MockerFixture, tmp_path: Path, included: bool
) -> None:
    """Links, the listener before the bridges, unless the broker includes our directory already."""
    certify(local_device)
    instance = instance_of(local_device)
    main, conf_d = tmp_path / "mosquitto.conf", tmp_path / "conf.d"
    conf_d.mkdir()
    line = f"include_dir {instance.bridge_file.parent}\n"
    main.write_text(f"pid_file /run/mosquitto.pid\n{line if included else '#' + line}")
    mocker.patch.object(conf_files, "MAIN", main)
    mocker.patch.object(conf_files, "CONF_D", conf_d)
    mocker.patch.object(settings, "SYSTEM_DIRECTORY", str(local_device.directory))
    of = files_of(local_device)
    listener, bridge = conf_files.listener_placement(of), conf_files.bridge_placement(of)
    for placement in (listener, bridge, bridge):
        placement.put("# text\n")
    names = [] if included else ["00-tedge-mosquitto.conf", "50-tedge-c8y-bridge.conf"]
    assert sorted(each.name for each in conf_d.iterdir()) == names
    assert all(each.read_text() == "# text\n" for each in conf_d.iterdir())
    assert {each.name: each.stat().st_mode & 0o777 for each in instance.bridge_file.parent.iterdir()} == {
        "tedge-mosquitto.conf": 0o644,
        "c8y-bridge.conf": 0o644,
    }
    bridge.put(None)
    assert sorted(each.name for each in conf_d.iterdir()) == names[:1]
    assert not instance.bridge_file.exists()
    bridge.put(None)


def test_a_link_whose_file_is_gone_is_removed(local_device: LocalDevice, mocker: MockerFixture, tmp_path: Path) -> None:
    """It would keep the broker from starting."""
    certify(local_device)
    mocker.patch.object(conf_files, "CONF_D", tmp_path)
    mocker.patch.object(settings, "SYSTEM_DIRECTORY", str(local_device.directory))
    placement = conf_files.bridge_placement(files_of(local_device))
    placement.put("# text\n")
    placement.file.unlink()
    placement.remove()
    assert list(tmp_path.glob("*tedge*")) == []


def test_messages_of_local_clients_reach_the_tenant(local_device: LocalDevice) -> None:
    certify(local_device)
    connect(local_device)
    topics = ["s/us", "t/us/x", "measurement/measurements/create", "s/uc/template"]
    with Local(local_device) as local:
        for topic in topics:
            local.client.publish(f"c8y/{topic}", "payload", qos=1).wait_for_publish()
    found = local_device.tenant.wait_messages(local_device.device_id, len(topics))
    assert [(each["topic"], each["qos"]) for each in found] == [(topic, 1) for topic in topics]
