# SPDX-License-Identifier: Apache-2.0
"""Registration from the credentials of a unit, one attempt a start."""

import errno
import json
import runpy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from pytest_mock import MockerFixture

from tedge_cert.commands import first_boot, hardware_id
from tedge_cert.device import registration_record as record
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.errors import CredentialError, TedgeCertError
from tedge_cert.x509 import certificate
from unit.certificates import DAY_S
from unit.connected import behind, certify, instance_of, issue
from unit.est_authority import Answer, EstAuthority, first_certificate
from unit.local_device import ROOT, LocalDevice

PASSWORD = "one-time-password"


class Boot:
    """A device whose unit is started again and again."""

    def __init__(self, device: LocalDevice, directory: Path, slept: list[float]) -> None:
        self.device = device
        self.directory = directory
        self.slept = slept

    @property
    def instance(self) -> Instance:
        return instance_of(self.device)

    def give(self, name: str, text: str) -> None:
        """Set the credentials of the unit."""
        (self.directory / name).write_text(f"{text}\n")

    def start(self) -> None:
        """Do as the unit does, without a process of its own."""
        main = runpy.run_path(str(ROOT / "bin" / "tedge-cert-download-once"))["main"]
        assert main() == 0

    def failure(self) -> str:
        """Start, and return the line of a failure that systemd tries again."""
        with pytest.raises(TedgeCertError) as raised:
            self.start()
        assert not isinstance(raised.value, CredentialError)
        return str(raised.value)

    def refusal(self) -> str:
        """Start, and return the line of a failure that is not tried again."""
        with pytest.raises(CredentialError) as raised:
            self.start()
        assert raised.value.exit_code == 2
        return str(raised.value)


@pytest.fixture
def boot(local_device: LocalDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture) -> Boot:
    """A device with credentials for its name and password, unknown to the tenant yet."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    mocker.patch.object(first_boot, "_MARKS", tmp_path / "marks")
    mocker.patch.object(first_boot, "STORES", (tmp_path / "store",))
    monkeypatch.setenv("TEDGE_CONFIG_DIR", str(local_device.directory))
    monkeypatch.setattr("sys.argv", ["tedge-cert-download-once", "c8y"])
    instance_of(local_device).state_file.parent.mkdir()
    slept: list[float] = []
    mocker.patch.object(time, "sleep", slept.append)
    made = Boot(local_device, directory, slept)
    made.give("tedge.device-id", local_device.device_id)
    made.give("tedge.one-time-password", PASSWORD)
    return made


def test_a_registered_device_gets_its_certificate(boot: Boot, capsys: pytest.CaptureFixture[str]) -> None:
    boot.device.tenant.register(boot.device.device_id, PASSWORD)
    boot.start()
    assert boot.device.certificate.exists()
    assert record.is_unfinished(boot.instance)
    assert PASSWORD not in capsys.readouterr().err
    assert all(PASSWORD not in path.read_text() for path in boot.device.directory.rglob("*.*") if path.is_file())


def test_pauses_grow_up_to_an_hour(boot: Boot) -> None:
    lines = [boot.failure() for _ in range(12)]
    assert "401" in lines[0]
    assert "asking again in 10s (attempt 1)" in lines[0]
    assert "asking again in 1h (attempt 12)" in lines[-1]
    assert boot.slept[:3] == [pytest.approx(10, abs=3), pytest.approx(20, abs=3), pytest.approx(40, abs=3)]
    assert max(boot.slept) == pytest.approx(3600, abs=3)
    assert not boot.device.certificate.exists()


def test_whatever_else_goes_wrong_is_paused_after_too(boot: Boot) -> None:
    boot.device.tenant.register(boot.device.device_id, PASSWORD)
    boot.device.tenant.fault(where="est", do="wrong-name", name="another-device")
    assert "asking again in 10s" in boot.failure()


def test_a_clock_that_is_behind_spends_no_password(boot: Boot, mocker: MockerFixture, asked: Callable[[], int]) -> None:
    boot.device.tenant.register(boot.device.device_id, PASSWORD)
    behind(mocker, 7_230)
    lines = [boot.failure() for _ in range(3)]
    assert "is not registered: the clock is wrong: it is 2h" in lines[0]
    assert "asking again in 10s (attempt 1)" in lines[0]
    assert boot.slept == [pytest.approx(10, abs=3), pytest.approx(20, abs=3)]
    behind(mocker, 0)
    assert asked() == 0
    boot.start()
    assert (asked(), boot.device.certificate.exists()) == (1, True)


def test_a_certificate_that_is_not_valid_yet_is_connected_later(
    boot: Boot, mocker: MockerFixture, asked: Callable[[], int]
) -> None:
    boot.device.tenant.register(boot.device.device_id, PASSWORD)
    boot.device.tenant.fault(where="est", times=1, do="not-yet-valid", seconds=7_200)
    line = boot.failure()
    assert "is registered, but not connected: the certificate is kept as" in line
    assert "; set it (see `" in line
    assert boot.failure().startswith("the clock is wrong: the certificate begins in 1h 59m only")
    assert record.is_unfinished(boot.instance)
    behind(mocker, -7_200)
    boot.start()
    assert asked() == 1


def test_a_broken_certificate_is_not_replaced(boot: Boot, asked: Callable[[], int]) -> None:
    """The condition of the unit says no to it; a start without the condition does so too."""
    boot.device.tenant.register(boot.device.device_id, PASSWORD)
    boot.device.certificate.write_text("garbage")
    line = boot.failure()
    assert line.startswith(f"not registering: {boot.device.certificate} is there and cannot be read (")
    assert line.endswith(f"`sudo mv {boot.device.certificate} {boot.device.certificate}.broken` makes room for another")
    assert (asked(), boot.device.certificate.read_text()) == (0, "garbage")


def test_another_password_is_asked_with_at_once(boot: Boot) -> None:
    boot.failure()
    boot.give("tedge.one-time-password", "another-password")
    boot.device.tenant.register(boot.device.device_id, "another-password")
    boot.start()
    assert boot.slept == []


def test_a_password_is_used_once(boot: Boot) -> None:
    boot.device.tenant.register(boot.device.device_id, PASSWORD)
    boot.start()
    record.finish(boot.instance)
    issue(boot.device, boot.device.certificate, days=-60 / DAY_S, not_before_offset_s=-3600)
    assert "has been used already" in boot.refusal()
    boot.give("tedge.one-time-password", "another-password")
    boot.device.tenant.register(boot.device.device_id, "another-password")
    boot.start()


def test_a_registration_that_was_cut_off_is_not_asked_for_again(boot: Boot) -> None:
    certify(boot.device, days=90)
    before = len(boot.device.tenant.state()["requests"])
    for _ in range(3):
        boot.start()
    assert len(boot.device.tenant.state()["requests"]) == before
    assert [round(each) for each in boot.slept] == [10, 20]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tedge.one-time-password", "", "there is no one-time password"),
        ("tedge.one-time-password", "short", "8 to 32 characters"),
        (
            "tedge.one-time-password",
            "Whxqht+dQJax1aZeCGLxmiAAAAABAAAADAAAABAAAACBvZ2ZhYmM=",
            "LoadCredentialEncrypted=",
        ),
        ("tedge.one-time-password", "first-line\nsecond-line", "8 to 32 characters on one line"),
        ("tedge.device-id", "a/b", "cannot be a device id"),
    ],
)
def test_what_cannot_be_meant_is_refused(boot: Boot, name: str, text: str, said: str) -> None:
    boot.give(name, text)
    assert said in boot.refusal()


def test_without_any_credential_it_says_what_is_missing(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert "tedge.one-time-password" in boot.refusal()


def test_a_tenant_is_needed(boot: Boot) -> None:
    file = boot.device.directory / "tedge.toml"
    text = file.read_text()
    file.write_text("\n".join(line for line in text.splitlines() if not line.startswith(("url", "http"))))
    assert "tedge.c8y-url" in boot.refusal()
    boot.give("tedge.c8y-url", f"127.0.0.1:{boot.device.tenant.http_port}")
    boot.device.tenant.register(boot.device.device_id, PASSWORD)
    boot.start()
    assert record.is_unfinished(boot.instance)
    assert first_boot.finish("") == 0
    assert f'http = "127.0.0.1:{boot.device.tenant.http_port}"' in file.read_text()
    assert boot.instance.bridge_file.exists()
    assert not record.is_unfinished(boot.instance)


def test_a_device_without_a_name_takes_that_of_its_hardware(boot: Boot, mocker: MockerFixture) -> None:
    (boot.directory / "tedge.device-id").unlink()
    mocker.patch.object(hardware_id, "SERIALS", (boot.directory / "serial",))
    boot.give("serial", f"{boot.device.device_id[:40]}-hw")
    assert boot.failure().startswith(f"{boot.device.device_id[:40]}-hw is not registered")


def test_what_the_last_one_left_may_be_anything(boot: Boot) -> None:
    state = boot.instance.state_file
    for text in ("", "[]", '{"failed": "x"}', json.dumps({"password": 5, "url": None})):
        state.with_suffix(".registered").write_text(text)
        boot.instance.run_directory.joinpath("c8y.attempts").write_text(text)
        assert record.attempts(boot.instance).failed == 0
        boot.failure()


@pytest.fixture
def connected(boot: Boot, mocker: MockerFixture) -> MagicMock:
    """What stands in for the connection that root makes; the password is in the store too."""
    first_boot.STORES[0].mkdir()
    (first_boot.STORES[0] / "tedge.one-time-password").write_text(PASSWORD)
    return mocker.patch.object(first_boot, "_connect")


def test_root_connects_once_for_each_password(boot: Boot, connected: MagicMock, mocker: MockerFixture) -> None:
    """The password is root's; nothing that user tedge leaves makes root do it again."""
    counts = []
    made = mocker.spy(files, "make_directory")
    for password in ("", PASSWORD, PASSWORD, "another-password"):
        boot.give("tedge.one-time-password", password)
        record.begin(boot.instance, "x")
        assert first_boot.finish("") == 0
        counts.append(connected.call_count)
    assert counts == [0, 1, 1, 2]
    assert list(first_boot.STORES[0].iterdir()) == []
    mark = first_boot._MARKS / "c8y.connected"
    assert mark.stat().st_mode & 0o777 == 0o600
    made.assert_called_with(first_boot._MARKS, owners.DIRECTORY_OF_ROOT)


def test_the_part_that_is_tedge_leaves_no_mark(boot: Boot, connected: MagicMock, mocker: MockerFixture) -> None:
    """Its parent, which is root, does that when it has ended well."""
    mocker.patch("tedge_cert.disk.privileges.has_parent", return_value=True)
    assert first_boot.finish("") == 0
    assert connected.called
    assert not first_boot._MARKS.exists()
    assert list(first_boot.STORES[0].iterdir()) != []
    assert boot.instance.bridge_file.parent.exists()


@pytest.mark.parametrize("code", [0, 1, 137])
def test_the_part_that_is_root_ends_with_the_code_of_the_other(
    boot: Boot, connected: MagicMock, mocker: MockerFixture, code: int
) -> None:
    mocker.patch("tedge_cert.config.settings.Config.is_of_system", True)
    mocker.patch("tedge_cert.commands.root_tasks.serve", return_value=code)
    assert first_boot.finish("") == code
    assert not connected.called
    assert first_boot._MARKS.exists() is (code == 0)


@pytest.mark.usefixtures("connected")
def test_a_further_registration_is_finished_as_tedge(boot: Boot, mocker: MockerFixture) -> None:
    """Root has connected the device for this password before."""
    assert first_boot.finish("") == 0
    mocker.patch("tedge_cert.config.settings.Config.is_of_system", True)
    order = mocker.Mock()
    mocker.patch("tedge_cert.disk.privileges.drop", order.drop)
    mocker.patch.object(first_boot, "_conclude", order.conclude)
    boot.give("tedge.one-time-password", PASSWORD)
    assert first_boot.finish("") == 0
    assert [each[0] for each in order.mock_calls] == ["drop", "conclude"]


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("url", ['evil.example"\nx = "', "evil.example:port", "[::1]x"])
def test_root_sets_a_tenant_only_where_there_is_none(boot: Boot, url: str) -> None:
    file = boot.device.directory / "tedge.toml"
    before = file.read_text()
    boot.give("tedge.c8y-url", "evil.example")
    assert first_boot.finish("") == 0
    assert file.read_text() == before
    text = "\n".join(line for line in before.splitlines() if not line.startswith(("url", "http")))
    file.write_text(text)
    boot.give("tedge.one-time-password", "another-password")
    boot.give("tedge.c8y-url", url)
    with pytest.raises(TedgeCertError, match="expected"):
        first_boot.finish("")
    assert file.read_text() == text


def test_a_device_whose_registration_is_finished_is_left_as_it_is(boot: Boot, mocker: MockerFixture) -> None:
    connect = mocker.patch("tedge_cert.commands.connect.connect")
    assert not record.is_unfinished(boot.instance)
    assert first_boot.finish("") == 0
    assert not connect.called


@pytest.fixture
def authority(boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EstAuthority]:
    """An authority of the operator's own, which the unit asks; the device has a factory certificate and no password."""
    with EstAuthority(tmp_path) as running:
        factory = boot.device.directory / "factory.pem"
        pem, key = first_certificate(running, "serial-4711", 3650)
        factory.write_bytes(pem)
        factory.with_suffix(".key").write_bytes(key)
        file = boot.device.directory / "tedge.toml"
        paths = f'bootstrap.cert_path = "{factory}"\nbootstrap.key_path = "{factory.with_suffix(".key")}"\n'
        file.write_text(file.read_text() + running.settings + paths)
        monkeypatch.setattr("sys.argv", ["tedge-cert-download-once", "c8y", "--ca", "est"])
        boot.give("tedge.one-time-password", "")
        yield running


def test_a_factory_certificate_needs_no_person(boot: Boot, authority: EstAuthority, connected: MagicMock) -> None:
    boot.start()
    assert certificate.load(boot.device.certificate).validity.device_id == boot.device.device_id
    assert first_boot.finish("", "", "est") == 0
    record.finish(boot.instance)
    # Years later, by itself.
    pem, key = first_certificate(authority, boot.device.device_id, 0)
    boot.device.certificate.write_bytes(pem)
    (boot.device.directory / "certs" / "key.pem").write_bytes(key)
    boot.start()
    assert certificate.load(boot.device.certificate).validity.left_s(time.time()) > DAY_S
    assert len(authority.enrolments()) == 2
    # Root connects the device once; the rest needs no root.
    assert record.is_unfinished(boot.instance)
    assert first_boot.finish("", "", "est") == 0
    assert not record.is_unfinished(boot.instance)
    assert connected.call_count == 1


def test_a_pause_that_the_authority_asks_for_is_kept(
    boot: Boot, authority: EstAuthority, mocker: MockerFixture
) -> None:
    """No start of the unit sleeps for longer than an hour, because a start has a time limit."""
    real = time.monotonic
    mocker.patch.object(time, "monotonic", side_effect=lambda: real() + sum(boot.slept))
    waits = [Answer(202, b"", {"Retry-After": text}) for text in ("600", "9000", "0", "99999999")]
    authority.answers = [*waits, Answer(503, b"", {"Retry-After": "300"})]
    said = [boot.failure() for _ in range(5)]
    assert "waits for approval at the authority localhost" in said[0]
    assert "asking again in 10m (attempt 1)" in said[0]
    assert "asking again in 2h 30m (attempt 2)" in said[1]
    assert said[2].startswith("nothing asked for: the last answer asked for a pause, which ends in 1h ")
    assert [round(each, -2) for each in boot.slept] == [600, 3600, 3600, 1800]
    assert "asking again in 10s (attempt 3)" in said[4]
    csrs = [each.csr for each in authority.enrolments()]
    assert csrs == [csrs[0]] * 3
    # A day at most.
    assert "asking again in 1d (attempt 4)" in boot.failure()
    for _ in range(23):
        boot.failure()
    assert "asking again in 5m (attempt 5)" in boot.failure()
    assert len(authority.enrolments()) == 5


@pytest.mark.parametrize(("refused", "cure"), [("factory.key", "chown tedge"), ("factory.pem", "chmod 644")])
@pytest.mark.usefixtures("authority")
def test_a_factory_certificate_that_is_roots_has_its_cure(
    boot: Boot, mocker: MockerFixture, refused: str, cure: str
) -> None:
    path, read = boot.device.directory / refused, files.read_regular

    def read_as_tedge(asked: Path, limit: int = 1 << 20, follow: bool = False) -> bytes:
        if asked == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(asked, limit, follow)

    mocker.patch.object(files, "read_regular", read_as_tedge)
    assert f"Permission denied; `sudo {cure} {path}` lets user tedge read it" in boot.failure()


def test_an_authority_needs_a_factory_certificate_or_a_password(boot: Boot, authority: EstAuthority) -> None:
    (boot.device.directory / "factory.pem").unlink()
    assert f"the authority localhost:{authority.port} needs one of them" in boot.refusal()
    boot.give("tedge.one-time-password", PASSWORD)
    boot.start()
    assert authority.enrolments()[0].headers["authorization"].startswith("Basic ")
