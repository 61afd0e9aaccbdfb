# SPDX-License-Identifier: Apache-2.0
"""The memo between two full checks: any change of a file, the clock or the command leads to a full check."""

import os
import posix
from collections.abc import Callable
from pathlib import Path

import pytest

from tedge_cert.errors import BROKEN_CONDITION
from tedge_cert.hourly import memo
from unit.remembered import HOUR_NS, UNIT, Remembered, remember

DAY_NS, SECOND_NS = 24 * HOUR_NS, 10**9


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remembered:
    """A device after a full check that found nothing to do."""
    made = remember(tmp_path, monkeypatch)
    assert made.full_check() == 1
    return made


@pytest.mark.parametrize("words", [UNIT, (*UNIT, "--profile", "p")])
def test_the_next_hours_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    made = remember(tmp_path, monkeypatch, words)
    assert made.full_check() == 1
    full = capfd.readouterr().err
    assert "renewing below 33d 14h (30d, and 3d 14h of the spread): nothing to do" in full
    assert made.is_quiet(0)
    assert capfd.readouterr().err == full
    assert made.is_quiet(DAY_NS - SECOND_NS)
    assert f"{made.certificate} is valid for 99d " in capfd.readouterr().err
    assert sorted(each.name for each in made.file.parent.iterdir()) == [made.file.name]


def test_the_journal_gets_the_level(device: Remembered, capfd: pytest.CaptureFixture[str]) -> None:
    status = os.fstat(2)
    device.environment[b"JOURNAL_STREAM"] = b"%d:%d" % (status.st_dev, status.st_ino)
    assert device.is_quiet()
    assert capfd.readouterr().err.splitlines()[-1].startswith(f"<6>{device.certificate} is valid for")


def rewrite(path: Path) -> None:
    """Length, time and inode can stay the same; the time of the last change (ctime) cannot be set back."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(file.read(1))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(path: Path) -> None:
    """Write the same content into a new file."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.rename(path)


def link(path: Path) -> None:
    """Put the same content behind a link."""
    other = path.with_name("elsewhere")
    other.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(other)


def instead(path: Path, make: Callable[[Path], None]) -> None:
    """Put another file in its place."""
    path.unlink()
    make(path)


def blocked(path: Path) -> None:
    """Put a file in the place of the directory above."""
    path.parent.write_text("")


def mapped(device: Remembered, name: str = "c8y") -> None:
    (device.directory / "mappers" / name).mkdir(parents=True, exist_ok=True)
    (device.directory / "mappers" / name / "mapper.toml").touch()


CHANGES: dict[str, Callable[[Remembered], object]] = {
    "configuration rewritten": lambda device: rewrite(device.toml),
    "configuration replaced": lambda device: replace(device.toml),
    "configuration linked": lambda device: link(device.toml),
    "configuration removed": lambda device: device.toml.unlink(),
    "configuration unreadable": lambda device: device.toml.chmod(0o600),
    "configuration longer": lambda device: device.toml.write_text(device.toml.read_text() + "\n"),
    "mapper": mapped,
    "mapper of another profile": lambda device: mapped(device, "c8y.q"),
    "mapper blocked": lambda device: blocked(device.directory / "mappers/c8y"),
    "credentials": lambda device: (device.directory / "credentials.toml").touch(),
    "certificate rewritten": lambda device: rewrite(device.certificate),
    "certificate replaced": lambda device: replace(device.certificate),
    "certificate removed": lambda device: device.certificate.unlink(),
    "certificate given away": lambda device: device.certificate.chmod(0o640),
    "previous": lambda device: device.certificate.with_name("cert.pem.previous").touch(),
    "previous, a link to nothing": lambda device: device.certificate.with_name("cert.pem.previous").symlink_to("/no"),
    "library": lambda device: (device.library / "new.py").touch(),
    "a room of the library": lambda device: (device.library / "steps" / "new.py").touch(),
    "setting of the environment": lambda device: device.environment.update({b"TEDGE_C8Y_DEVICE_CERT_PATH": b"/c"}),
    "another setting": lambda device: device.environment.update({b"TEDGE_CLOUD_PROFILE": b"p"}),
    "spread": lambda device: device.environment.update({b"RENEWAL_SPREAD": b"21%"}),
    "no spread": lambda device: device.environment.pop(b"RENEWAL_SPREAD"),
    "user": lambda device: device.monkeypatch.setattr(posix, "geteuid", lambda: 4_242),
    "version": lambda device: device.monkeypatch.setattr(memo, "FORMAT", "tedge-cert-renewer 2"),
    "left nothing": lambda device: device.file.unlink(),
    "left empty": lambda device: device.file.write_text(""),
    "left garbage": lambda device: device.file.write_bytes(os.urandom(500)),
    "left cut off": lambda device: device.file.write_text(device.file.read_text()[:-4]),
    "left less": lambda device: device.file.write_text("\n".join([*device.file.read_text().split("\n")[:7], "end"])),
    "left another number": lambda device: device.file.write_text(device.file.read_text().replace("\n1", "\nx")),
    "left too much": lambda device: device.file.write_text(device.file.read_text() + "\n" * 40_000),
    "left a link": lambda device: link(device.file),
    "left open to others": lambda device: device.file.chmod(0o666),
    "left open to the group": lambda device: device.file.chmod(0o664),
    "left a pipe": lambda device: instead(device.file, os.mkfifo),
    "left a directory": lambda device: instead(device.file, os.mkdir),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_is_a_full_check(device: Remembered, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert device.is_quiet()
    CHANGES[what](device)
    capfd.readouterr()
    assert not device.is_quiet()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("present", [(), ("c8y.q",)])
@pytest.mark.parametrize("profile", ["", "p"])
def test_a_file_of_a_mapper_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], profile: str
) -> None:
    """Its directory can have been there before, for example with flows."""
    made = remember(tmp_path, monkeypatch, (*UNIT, "--profile", profile) if profile else UNIT)
    for name in ("c8y", "c8y.p", "c8y.q"):
        (tmp_path / "mappers" / name).mkdir(parents=True)
    for name in present:
        mapped(made, name)
    file = tmp_path / "mappers/c8y.q/mapper.toml"
    if present and profile:
        # The profile is known to tedge.toml only, so its unit fails until that is mended.
        assert made.full_check() == BROKEN_CONDITION
        return
    assert made.full_check() == 1
    assert made.is_quiet()
    file.unlink() if present else file.touch()
    assert not made.is_quiet()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_another_user_left_is_not_believed(device: Remembered) -> None:
    os.chown(device.file, 4_242, 4_242)
    assert not device.is_quiet()


@pytest.mark.parametrize(
    ("after_ns", "set_by_ns", "booted_ns", "is_quiet"),
    [
        (0, 0, 0, True),
        (DAY_NS - 1, 0, 0, True),
        (DAY_NS, 0, 0, False),
        # Before the full check, by a little and by much.
        (0, -1, 0, False),
        (HOUR_NS, -2 * HOUR_NS, 0, False),
        # Slewed, and set.
        (HOUR_NS, 59 * SECOND_NS, 0, True),
        (HOUR_NS, 61 * SECOND_NS, 0, False),
        (HOUR_NS, -59 * SECOND_NS, 0, True),
        (HOUR_NS, -61 * SECOND_NS, 0, False),
        # Booted since.
        (HOUR_NS, 0, 10 * HOUR_NS, False),
    ],
)
def test_the_clock(device: Remembered, after_ns: int, set_by_ns: int, booted_ns: int, is_quiet: bool) -> None:
    assert device.is_quiet(after_ns, set_by_ns, booted_ns) == is_quiet


def test_at_the_due_time_a_full_check_decides(device: Remembered) -> None:
    lines = device.file.read_text().split("\n")
    lines[3] = str((device.began_ns[0] + HOUR_NS) // SECOND_NS)
    device.file.write_text("\n".join(lines))
    assert device.is_quiet(HOUR_NS - SECOND_NS)
    assert not device.is_quiet(HOUR_NS)
