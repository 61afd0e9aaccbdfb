# SPDX-License-Identifier: Apache-2.0
"""A private key in a TPM: made, registered, renewed and used for TLS by the commands as a person types them."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from pytest_mock import MockerFixture

from tedge_cert.commands import provider_files
from tedge_cert.config.keys.table import KEYS
from tedge_cert.device.instance import load_instance
from unit import hardware
from unit.certificates import key_pem, new_key
from unit.local_device import LocalDevice

CREATE = "tedge-hsm create-key --tpm c8y"


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which a TPM is reached."""
    with hardware.shared_tpm(tmp_path_factory.mktemp("tpm")) as variables:
        yield variables


@pytest.fixture
def device(local_device: LocalDevice, tpm: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> LocalDevice:
    """A device with that TPM."""
    for name, value in tpm.items():
        monkeypatch.setenv(name, value)
    assert local_device.run("tedge-config set device.tpm.tcti tabrmd").exit == 0
    return local_device


def key_of(device: LocalDevice) -> Path:
    return device.certificate.with_name("key.pem")


def test_a_device_lives_with_a_key_in_its_tpm(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    made = device.run(CREATE)
    assert made.exit == 0, made.stderr
    assert (made.stdout, "key.pem is in the TPM" in made.stderr) == ("", True)
    assert key_of(device).stat().st_mode & 0o777 == 0o640
    before = key_of(device).read_bytes()
    broker = hardware.register_and_renew(device, monkeypatch)
    changed = [device.run(each) for each in ("tedge-cert-renew c8y --new-key", "tedge-cert-verify c8y")]
    assert [each.exit for each in changed] == [0, 0], changed
    former, before = before, key_of(device).read_bytes()
    assert (before != former, key_of(device).stat().st_mode & 0o777) == (True, 0o640)
    assert not list(device.certificate.parent.glob("*.previous"))
    assert (device.broker_pid, device.run("tedge-connect c8y --test").exit) == (broker, 0)
    assert device.run("tedge-http get /c8y/tenant/currentTenant").exit == 0
    # Typed again, it keeps the key.
    again = device.run(CREATE)
    assert (again.exit, "is in the TPM already, and is kept" in again.stderr) == (0, True)
    assert key_of(device).read_bytes() == before
    # A TPM that is gone is named, and the bridge stays as it is.
    monkeypatch.setenv("TPM2OPENSSL_TCTI", "swtpm:path=/nowhere")
    for each in ("tedge-reconnect c8y", "tedge-cert-renew c8y", CREATE):
        refused = device.run(each)
        said = f"cannot use the private key {key_of(device)}: the TPM does not answer"
        assert (refused.exit, said in refused.stderr) == (1, True), refused.stderr
    assert (device.broker_pid, device.run("tedge-connect c8y --test").exit) == (broker, 0)


def test_a_status_waits_for_no_tpm(device: LocalDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.run(CREATE).exit == 0
    assert device.register().exit == 0
    silent = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(silent))
        listener.listen()
        (device.directory / "openssl.env").write_text(
            f"OPENSSL_CONF={device.directory}/openssl.cnf\nTPM2OPENSSL_TCTI=swtpm:path={silent}\n"
        )
        assert '"fits": true' in device.run("tedge-cert-status c8y --json").stdout
        assert device.run("tedge-cert-show c8y").exit == 0
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_self_signed_certificate_takes_the_key_that_is_there(device: LocalDevice) -> None:
    assert device.run(CREATE + " --type rsa").exit == 0
    before = key_of(device).read_bytes()
    created = device.run("tedge-cert-create --device-id gateway-1")
    assert created.exit == 0, created.stderr
    assert key_of(device).read_bytes() == before
    assert (
        x509.load_pem_x509_certificate(device.certificate.read_bytes()).subject.rfc4514_string().endswith("gateway-1")
    )


def test_a_key_in_use_is_replaced_only_if_asked_for(device: LocalDevice) -> None:
    key_of(device).write_bytes(key_pem(new_key()))
    before = key_of(device).read_bytes()
    refused = device.run(CREATE)
    assert (refused.exit, "key.pem is another key and is not replaced" in refused.stderr) == (1, True)
    assert "`sudo tedge hsm create-key --tpm --force-new c8y`" in refused.stderr
    assert key_of(device).read_bytes() == before
    assert not (device.directory / "openssl.cnf").exists()
    assert device.run(CREATE + " --force-new").exit == 0
    first = key_of(device).read_bytes()
    assert b"BEGIN TSS2 PRIVATE KEY" in first
    assert device.run(CREATE + " --force-new").exit == 0
    assert key_of(device).read_bytes() != first


@pytest.mark.parametrize(
    ("reached_by", "said"),
    [
        ("device:/dev/no-tpm", "there is no TPM at /dev/no-tpm; switch it on in the firmware"),
        ("swtpm:path=/nowhere", "the TPM does not answer (device.tpm.tcti swtpm:path=/nowhere)"),
    ],
)
def test_without_tpm_the_cause_is_named(local_device: LocalDevice, reached_by: str, said: str) -> None:
    assert local_device.run(f"tedge-config set device.tpm.tcti {reached_by}").exit == 0
    result = local_device.run(CREATE)
    assert (result.exit, said in result.stderr) == (1, True), result.stderr
    assert sorted(each.name for each in key_of(local_device).parent.iterdir()) == []


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.chmod(0o666)], ids=["missing", "others can write it"])
def test_a_key_that_openssl_is_not_set_up_for_is_named(device: LocalDevice, spoil: Callable[[Path], None]) -> None:
    assert device.run(CREATE).exit == 0
    spoil(device.directory / "openssl.env")
    refused = device.run("tedge-cert-create --device-id gateway-1")
    cure = "`sudo tedge hsm create-key --tpm` does that, and keeps the key"
    assert (refused.exit, cure in refused.stderr) == (1, True)
    assert device.run(CREATE).exit == 0
    assert device.run("tedge-cert-create --device-id gateway-1").exit == 0


def test_the_units_get_the_device_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").write_text("")
    texts = provider_files._of_tpm(load_instance("c8y", "", str(tmp_path)))
    assert {str(path.relative_to("/etc/systemd/system")): text.splitlines()[1:] for path, text in texts.items()} == {
        "mosquitto.service.d/52-tpm.conf": [
            *("[Unit]", "Wants=dev-tpmrm0.device", "After=dev-tpmrm0.device"),
            *("[Service]", f"EnvironmentFile=-{tmp_path}/openssl.env"),
        ],
        **{
            f"{unit}.service.d/52-tpm.conf": ["[Service]", "BindPaths=-/dev/tpmrm0", "DeviceAllow=/dev/tpmrm0 rw"]
            for unit in ("tedge-cert-renewer@c8y", "tedge-cert-download@c8y")
        },
    }


@pytest.mark.parametrize(("members", "added"), [(["tedge"], True), (["tedge", "mosquitto"], False)])
def test_mosquitto_is_let_in_and_started_again(
    members: list[str], added: bool, tmp_path: Path, mocker: MockerFixture
) -> None:
    """Debian testing starts the broker as user mosquitto; on 12 and 13 it opens the TPM while it is root."""
    for name in ("update_openssl", "_write"):
        mocker.patch.object(provider_files, name, return_value=False)
    (tmp_path / "tedge.toml").write_text("")
    mocker.patch("grp.getgrnam").return_value.gr_mem = members
    run = mocker.patch("tedge_cert.processes.run")
    run.return_value.returncode = 0
    instance = replace(load_instance("c8y", "", str(tmp_path)), manages_services=True)
    assert provider_files.update(instance, tpm=True) is added
    command = ["usermod", "--append", "--groups", "tss", "mosquitto"]
    assert [each.args[0] for each in run.call_args_list] == [command] * added


def test_mosquitto_waits_for_the_daemon_of_the_tpm(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").write_text('[device]\ntpm.tcti = "tabrmd"\n')
    texts = provider_files._of_tpm(load_instance("c8y", "", str(tmp_path)))
    assert [path.parent.name for path in texts] == ["mosquitto.service.d"]
    assert "Wants=tpm2-abrmd.service\nAfter=tpm2-abrmd.service\n" in "".join(texts.values())


@pytest.mark.parametrize(
    "text",
    [
        "device:/dev/tpm rm0", "device:/dev/%n", "tabrmd:$HOME", "../x", "a\nb", "cmd:/var/lib/tedge-cert-renewer/x",
        "device:/var/lib/tedge-cert-renewer/x", "device:/dev/shm/x", "device:/dev//shm/x", "device:/dev/../tmp/x",
    ],
)  # fmt: skip
def test_no_line_comes_in_by_the_setting(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        KEYS["device.tpm.tcti"].parse(text)
