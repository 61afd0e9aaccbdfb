# SPDX-License-Identifier: Apache-2.0
"""The switch on disk, interrupted at any point."""

from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.device.instance import load_instance
from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError
from tedge_cert.steps.switch import Switch
from unit.killed import killed_after

OLD, NEW, OTHER = b"old certificate", b"new certificate", b"another one"


@pytest.fixture
def switch(tmp_path: Path) -> Switch:
    """A certificate and a candidate."""
    (tmp_path / "c.pem").write_bytes(OLD)
    (tmp_path / "c.pem.new").write_bytes(NEW)
    return switch_of(tmp_path / "c.pem", tmp_path / "k.pem")


def switch_of(*paths: Path) -> Switch:
    """Return the switch of a certificate and a key."""
    return Switch(*(each.with_name(each.name + suffix) for each in paths for suffix in ("", ".new", ".previous")))


def state(switch: Switch) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return the content of certificate, candidate and previous."""
    paths = (switch.certificate, switch.candidate, switch.previous)
    certificate, candidate, previous = (each.read_bytes() if each.exists() else None for each in paths)
    return certificate, candidate, previous


def leftovers(switch: Switch) -> list[str]:
    return [each.name for each in switch.certificate.parent.iterdir() if each.name.endswith(".tmp")]


def test_of_an_instance(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").write_text('[device]\ncert_path = "/a/cert.pem"\nkey_path = "/b/key.pem"\n')
    wanted = switch_of(Path("/a/cert.pem"), Path("/b/key.pem"))
    assert Switch.of(load_instance("c8y", directory=str(tmp_path))) == wanted


def test_the_whole_way(switch: Switch) -> None:
    prepared = switch.prepare(NEW)
    assert state(switch) == (OLD, NEW, None)
    assert (prepared.copy.read_bytes(), prepared.fresh.read_bytes()) == (OLD, NEW)
    assert prepared.copy.stat().st_ino != switch.certificate.stat().st_ino
    assert not switch.is_unfinished
    switch.promote(prepared, NEW)
    assert state(switch) == (NEW, None, OLD)
    assert switch.is_unfinished
    switch.confirm()
    assert state(switch) == (NEW, None, None)
    assert leftovers(switch) == []
    assert switch.certificate.stat().st_mode & 0o777 == 0o644


def test_a_candidate_put_there_meanwhile_is_not_ours(switch: Switch) -> None:
    prepared = switch.prepare(NEW)
    switch.candidate.write_bytes(OTHER)
    switch.promote(prepared, NEW)
    assert state(switch) == (NEW, OTHER, OLD)


@pytest.mark.parametrize(("keep", "candidate"), [(None, None), (NEW, NEW)])
def test_the_way_back(switch: Switch, keep: bytes | None, candidate: bytes | None) -> None:
    switch.promote(switch.prepare(NEW), NEW)
    switch.put_back(keep)
    assert state(switch) == (OLD, candidate, None)


def test_prepared_files_can_be_discarded_at_any_time(switch: Switch) -> None:
    prepared = switch.prepare(NEW)
    prepared.copy.unlink()
    prepared.discard()
    prepared.discard()
    assert (state(switch), leftovers(switch)) == ((OLD, NEW, None), [])


def test_a_full_disk_leaves_nothing_behind(switch: Switch, mocker: MockerFixture) -> None:
    mocker.patch("tedge_cert.disk.files.os.fsync", side_effect=[None, OSError(28, "No space left on device")])
    with pytest.raises(TedgeCertError, match="No space left on device"):
        switch.prepare(NEW)
    assert (state(switch), leftovers(switch)) == ((OLD, NEW, None), [])


@pytest.mark.parametrize("candidate", [None, OLD, NEW, OTHER])
@pytest.mark.parametrize(
    ("certificate", "previous", "left"),
    [(OLD, None, None), (OLD, OLD, None), (NEW, OLD, OLD), (OLD, b"", b""), (None, OLD, OLD)],
)
def test_settling_removes_what_means_nothing(
    switch: Switch,
    certificate: bytes | None,
    previous: bytes | None,
    left: bytes | None,
    candidate: bytes | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for path, content in (
        (switch.certificate, certificate),
        (switch.previous, previous),
        (switch.candidate, candidate),
    ):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
    switch.settle()
    assert state(switch) == (certificate, None if candidate == certificate else candidate, left)
    # Whoever put a candidate there learns where it went.
    said = f"removed {switch.candidate}: it is the certificate in use already"
    assert (said in capsys.readouterr().err) is (candidate is not None and candidate == certificate)


def test_settling_follows_no_link(switch: Switch) -> None:
    switch.previous.symlink_to(switch.certificate)
    switch.settle()
    assert switch.previous.is_symlink()


def walk(switch: Switch) -> None:
    """Switch from beginning to end, as the steps do."""
    switch.settle()
    if not switch.is_unfinished:
        found = switch.candidate.read_bytes()
        switch.promote(switch.prepare(found), found)
    switch.confirm()


def go_back(switch: Switch) -> None:
    """Undo the switch, and keep the new certificate."""
    switch.put_back(NEW)


@pytest.mark.parametrize("act", [walk, go_back])
@pytest.mark.parametrize("last", range(14))
def test_a_power_cut_at_any_instant(switch: Switch, mocker: MockerFixture, act: Any, last: int) -> None:
    """At every instant the certificate is whole, and previous lies beside it while it is in doubt."""
    if act is go_back:
        switch.promote(switch.prepare(NEW), NEW)

    def look(steps: int) -> None:
        certificate, _, previous = state(switch)
        assert certificate in (OLD, NEW)
        # The new certificate is confirmed after nine steps.
        assert OLD in (certificate, previous) or (act is walk and steps > 8)

    with killed_after(last, mocker, look):
        act(switch)
    certificate, candidate, previous = state(switch)
    assert certificate in (OLD, NEW)
    if act is go_back:
        assert (certificate, previous) == (NEW, OLD) or (certificate, candidate, previous) == (OLD, NEW, None)
        return
    files.remove_stale_temporaries(switch.certificate)
    if candidate or previous:
        walk(switch)
    assert (state(switch), leftovers(switch)) == ((NEW, None, None), [])
