# SPDX-License-Identifier: Apache-2.0
"""Lines for people and for the journal."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tedge_cert import journal


@pytest.fixture(autouse=True)
def _ordinary_level() -> Iterator[None]:
    journal.set_threshold(journal.INFO)
    yield
    journal.set_threshold(journal.INFO)


def test_people_read_the_level_in_words(capfd: pytest.CaptureFixture[str]) -> None:
    journal.error("one")
    journal.warning("two")
    journal.info("three\nfour")
    journal.debug("five")
    assert capfd.readouterr() == ("", "error: one\nwarning: two\nthree four\n")


def test_the_journal_reads_the_level_as_a_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    journal.error("one")
    journal.warning("two\nthree")
    journal.info("four")
    assert capfd.readouterr().err == "<3>one\n<4>two three\n<6>four\n"


@pytest.mark.parametrize("stream", ["", "1:1", "nonsense"])
def test_a_stream_that_is_not_stderr_is_not_the_journal(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", stream)
    assert not journal.is_journal()


def test_no_stderr_is_not_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = os.dup(2)
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    os.close(2)
    try:
        assert not journal.is_journal()
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("debug", 7),
        ("info", 6),
        ("notice", 5),
        ("warning", 4),
        ("warn", 4),
        ("err", 3),
        ("error", 3),
        ("", 6),
        ("loud", 6),
    ],
)
def test_a_drop_in_sets_the_level(monkeypatch: pytest.MonkeyPatch, name: str, level: int) -> None:
    monkeypatch.setenv("SYSTEMD_LOG_LEVEL", name)
    assert journal.threshold_of_environment() == level


@pytest.mark.parametrize(
    ("threshold", "text"),
    [
        (journal.DEBUG, "error: e\nwarning: w\ni\nd\ns\n"),
        (journal.INFO, "error: e\nwarning: w\ni\ns\n"),
        (journal.WARNING, "error: e\nwarning: w\n"),
        (journal.ERROR, "error: e\n"),
    ],
)
def test_leaves_out_what_is_below_the_level(capfd: pytest.CaptureFixture[str], threshold: int, text: str) -> None:
    journal.set_threshold(threshold)
    journal.error("e")
    journal.warning("w")
    journal.info("i")
    journal.debug("d")
    journal.say("s")
    assert capfd.readouterr().err == text


def test_several_lines_stay_several(capfd: pytest.CaptureFixture[str]) -> None:
    journal.say("one\n\n  two")
    assert capfd.readouterr().err == "one\n\n  two\n"


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as gone, monkeypatch.context() as patched:
        patched.setattr("sys.stderr", gone)
        journal.error("one")
        journal.say("two")
        with pytest.raises(BrokenPipeError):
            gone.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), gone.fileno())
