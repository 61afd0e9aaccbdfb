# SPDX-License-Identifier: Apache-2.0
"""Why mosquitto does not start: its own last words, and who has its port."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tedge_cert.bridge import broker_failure
from tedge_cert.errors import TedgeCertError

TAKEN = "Error: Address already in use"
SS = 'LISTEN 0 5 127.0.0.1:1883 0.0.0.0:* users:(("socat",pid=1,fd=3))\n'
Programs = Callable[[dict[str, str]], list[list[str]]]


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Programs:
    """Let programs print what is given; others are not installed. Mosquitto's files are elsewhere."""
    for name, path in (("LOG", "mosquitto.log"), ("MAIN", "mosquitto.conf"), ("CONF_D", "conf.d")):
        monkeypatch.setattr(broker_failure, name, tmp_path / path)
    (tmp_path / "conf.d").mkdir()

    def give(outputs: dict[str, str]) -> list[list[str]]:
        asked: list[list[str]] = []

        def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
            asked.append(command)
            if command[0] not in outputs:
                raise TedgeCertError(f"`{command[0]}` is not installed")
            return subprocess.CompletedProcess(command, 0, outputs[command[0]], "")

        monkeypatch.setattr(broker_failure, "run", run)
        return asked

    return give


def test_its_last_words_are_those_since_the_start(programs: Programs, tmp_path: Path) -> None:
    asked = programs({"journalctl": "mosquitto version 2.0.11 starting\nError: Unknown configuration variable x.\n"})
    (tmp_path / "mosquitto.log").write_text(f"1700000000: Error: an old one\n1800000000: {TAKEN} {'x' * 999}\n")
    said = broker_failure.sentence(1_800_000_000, "1883", "c8y")
    last = f"{TAKEN} {'x' * 999}"[:200]
    assert said.startswith(f"mosquitto does not start: Error: Unknown configuration variable x.; {last}: port")
    # Fields that any local user can log are not believed.
    assert asked[0][-1] == "_SYSTEMD_UNIT=mosquitto.service"
    assert "--since=@1800000000" in asked[0]


def test_nothing_said_is_no_words(programs: Programs, tmp_path: Path) -> None:
    programs({})
    (tmp_path / "mosquitto.log").symlink_to("/etc/hostname")
    assert broker_failure.sentence(0, "1883", "c8y") == ""


@pytest.mark.parametrize(
    ("own", "outputs", "said"),
    [
        (
            "listener 1883 0.0.0.0",
            {},
            "mine.conf has a listener on port 1883 already; to use that one, `sudo tedge config",
        ),
        ("port 1883", {}, "`sudo tedge config set mqtt.bind.enabled false`, then `sudo tedge connect c8y`"),
        ("listener 1884", {"ss": SS}, "port 1883 is taken by socat (process 1"),
        ("", {"ss": SS}, "`sudo tedge config set mqtt.bind.port 1884 && sudo tedge config set mqtt.client.port 1884`"),
        ("", {}, "port 1883 is taken by another program; stop that"),
    ],
)
def test_a_taken_port_is_named_with_its_holder(
    programs: Programs, tmp_path: Path, own: str, outputs: dict[str, str], said: str
) -> None:
    programs({"journalctl": f"{TAKEN}\n", **outputs})
    (tmp_path / "conf.d/mine.conf").write_text(f"# mine\n{own}\n")
    (tmp_path / "listener").write_text("listener 1883\n")
    (tmp_path / "conf.d/00-tedge-mosquitto.conf").symlink_to(tmp_path / "listener")
    sentence = broker_failure.sentence(0, "1883", "c8y")
    assert sentence.startswith(f"mosquitto does not start: {TAKEN}: ")
    assert said in sentence


def test_other_words_name_where_more_is(programs: Programs) -> None:
    programs({"journalctl": "Error: Unable to open include_dir\n"})
    said = broker_failure.sentence(0, "1883", "c8y")
    assert said.startswith(
        "mosquitto does not start: Error: Unable to open include_dir; `sudo journalctl -u mosquitto`"
    )
