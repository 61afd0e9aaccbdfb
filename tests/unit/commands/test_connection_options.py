# SPDX-License-Identifier: Apache-2.0
"""The options that name a connection: the cloud, its profiles, and unsupported clouds."""

import pytest

from unit.connected import certify, issue
from unit.local_device import LocalDevice


@pytest.mark.parametrize(
    ("words", "said"), [("connect az", "Azure"), ("connect aws.p", "Aws"), ("reconnect az", "Azure")]
)
def test_clouds_that_are_not_ours(local_device: LocalDevice, words: str, said: str) -> None:
    result = local_device.run(f"tedge-{words}")
    assert (result.exit, result.stdout) == (1, "")
    assert f"a connection to {said} is not supported" in result.stderr


@pytest.mark.parametrize(("cloud", "name"), [("az", "Azure"), ("aws", "Aws"), ("az --profile p", "Azure")])
def test_what_was_never_connected_is_disconnected(local_device: LocalDevice, cloud: str, name: str) -> None:
    result = local_device.run(f"tedge-disconnect {cloud}")
    assert result.exit == 0
    assert result.stdout.endswith(f"already disconnected from {name}.\n")


@pytest.mark.parametrize("command", ["disconnect", "reconnect"])
def test_a_profile_behind_the_cloud_is_for_connect_alone(local_device: LocalDevice, command: str) -> None:
    assert local_device.run(f"tedge-{command} c8y.second").exit == 2


@pytest.mark.parametrize(("command", "code"), [("connect", 1), ("disconnect", 2), ("reconnect", 2)])
def test_a_name_that_nobody_knows_may_be_that_of_a_mapper_to_connect(
    local_device: LocalDevice, command: str, code: int
) -> None:
    result = local_device.run(f"tedge-{command} nosuch")
    assert (result.exit, result.stdout) == (code, "")
    assert "'nosuch'" in result.stderr


@pytest.mark.parametrize("command", ["connect", "disconnect", "reconnect"])
def test_without_a_cloud(local_device: LocalDevice, command: str) -> None:
    assert local_device.run(f"tedge-{command}").exit == 2


def test_a_profile_has_its_own_bridge(local_device: LocalDevice) -> None:
    """Named by the option, or behind the cloud."""
    certify(local_device)
    own = (
        f'[c8y.profiles.second]\nurl = "127.0.0.1"\nhttp = "127.0.0.1:{local_device.tenant.http_port}"\n'
        f'mqtt = "127.0.0.1:{local_device.tenant.mqtt_port}"\nroot_cert_path = "{local_device.tenant.server_ca}"\n'
        f'device.cert_path = "{local_device.directory}/certs/second.pem"\nproxy.bind.port = 8002\n'
    )
    file = local_device.directory / "tedge.toml"
    file.write_text(file.read_text() + own)
    issue(local_device, local_device.directory / "certs" / "second.pem", name="second-1")
    refused = local_device.run("tedge-connect c8y --profile second")
    assert refused.exit == 1
    assert "tedge config set c8y.bridge.topic_prefix c8y-second --profile second" in refused.stderr
    file.write_text(file.read_text() + 'bridge.topic_prefix = "p2"\n')
    assert local_device.run("tedge-connect c8y.second").exit == 0
    text = (local_device.directory / "mosquitto-conf" / "c8y@second-bridge.conf").read_text()
    for line in (
        "connection edge_to_c8y@second",
        "remote_clientid second-1",
        "local_clientid Cumulocity@second",
        f"bridge_certfile {local_device.directory}/certs/second.pem",
        "notification_topic te/device/main/service/mosquitto-p2-bridge/status/health",
        'topic s/dat in 0 p2/ ""',
    ):
        assert f"{line}\n" in text
    assert local_device.connect().exit == 0
    for words in ("c8y", "c8y --profile second"):
        assert local_device.run(f"tedge-connect {words} --test").exit == 0
        assert local_device.run(f"tedge-reconnect {words}").exit == 0
    asked = local_device.run("tedge-http get /c8y/tenant/currentTenant --profile second")
    assert asked.exit == 0, asked.stderr
    assert local_device.run("tedge-disconnect c8y --profile second").exit == 0
    assert (local_device.directory / "mosquitto-conf" / "c8y-bridge.conf").exists()
