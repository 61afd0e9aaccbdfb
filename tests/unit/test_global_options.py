# SPDX-License-Identifier: Apache-2.0
"""`--config-dir`, `--debug` and `--log-level`, which every command takes and anywhere on its line."""

from pathlib import Path

import pytest

from unit.commands import run


@pytest.mark.parametrize(
    "words",
    [
        "tedge-config --config-dir {} get device.type",
        "tedge-config --config-dir={} get device.type",
        "tedge-config get --config-dir {} device.type",
        "tedge-config get device.type --config-dir {}",
    ],
)
def test_another_directory_is_read_wherever_it_is_named(tmp_path: Path, words: str) -> None:
    (tmp_path / "tedge.toml").write_text('[device]\ntype = "elsewhere"\n')
    assert run(words.format(tmp_path).split()).stdout == "elsewhere\n"


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        ("", True),
        ("--log-level warn", True),
        ("--log-level WARN", True),
        ("--log-level 2", True),
        ("--log-level error", False),
        ("--log-level=1", False),
        ("--debug --log-level error", False),
        ("--debug", True),
    ],
)
def test_lines_below_the_level_are_left_out(tmp_path: Path, words: str, warned: bool) -> None:
    result = run(["tedge-config", *words.split(), "get", "mqtt.port"], tmp_path)
    assert (result.exit, result.stdout) == (0, "1883\n")
    assert ("'mqtt.port' is called 'mqtt.bind.port' now" in result.stderr) is warned


@pytest.mark.parametrize("level", ["loud", "0", "6", ""])
@pytest.mark.parametrize("command", ["tedge-config list", "tedge-cert-needs-renewal", "tedge-cert-show"])
def test_a_level_that_does_not_exist_is_refused(tmp_path: Path, level: str, command: str) -> None:
    result = run([*command.split(), "--log-level", level], tmp_path)
    assert (result.exit, result.stdout) == (2, "")
    assert "expected one of error, warn, info, debug, trace, or 1 to 5" in result.stderr
