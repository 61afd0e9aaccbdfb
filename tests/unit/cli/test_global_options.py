# SPDX-License-Identifier: Apache-2.0
"""What holds for every command line: the options of all commands, `--`, repeated options, empty values."""

from pathlib import Path

import pytest

from unit.children import run


@pytest.mark.parametrize(
    "words",
    [
        "tedge-config --config-dir {} get device.type",
        "tedge-config --config-dir={} get device.type",
        "tedge-config get --config-dir {} device.type",
        "tedge-config get device.type --config-dir {}",
        "tedge --config-dir {} config get device.type",
        "tedge config --config-dir={} get device.type",
        "tedge --config-dir /nowhere config get device.type --config-dir {}",
    ],
)
def test_another_directory_is_read_wherever_it_is_named(tmp_path: Path, words: str) -> None:
    (tmp_path / "tedge.toml").write_text('[device]\ntype = "elsewhere"\n')
    assert run(words.format(tmp_path).split()).stdout == "elsewhere\n"


def test_the_option_stands_above_the_environment_and_an_empty_one_is_none(tmp_path: Path) -> None:
    for name in ("option", "variable"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tedge.toml").write_text(f'[device]\ntype = "{name}"\n')
    words = ["tedge-config", "get", "device.type"]
    assert run(words, tmp_path / "variable").stdout == "variable\n"
    assert run([*words, "--config-dir", f"{tmp_path}/option"], tmp_path / "variable").stdout == "option\n"
    assert run([*words, "--config-dir="], tmp_path / "variable").stdout == "variable\n"
    assert run(words, variables={"TEDGE_CONFIG_DIR": ""}).exit == 0


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


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("config get device.type --profile a --profile a", 2),
        ("cert show --new --new", 2),
        ("cert create --device-id a --device-id a", 2),
        ("cert needs-renewal --cert-path a --cert-path a", 2),
        ("cert needs-renewal --systemd --cert-path a --cert-path a", 255),
        ("cert needs-renewal --debug --debug", 2),
        ("--debug --debug config get device.type", 2),
        ("config get device.type --debug --debug", 2),
        # Each time for another word of the command: the later one holds.
        ("--debug config --debug get device.type --debug", 0),
        ("--log-level info config get device.type --log-level debug", 0),
    ],
)
def test_an_option_stands_once(tmp_path: Path, words: str, code: int) -> None:
    result = run(["tedge", *words.split()], tmp_path)
    assert result.exit == code
    assert ("given more than once" in result.stderr) is (code != 0)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        # What begins with a dash is an option, unless `--` stands before it.
        (["config", "set", "mqtt.bind.port", "-1"], 2),
        (["config", "set", "device.type", "-1d"], 2),
        (["config", "set", "mqtt.bind.port", "--", "-1"], 1),
        (["config", "set", "device.type", "--", "-1d"], 0),
        (["config", "set", "--", "device.type", "x"], 0),
        (["config", "set", "device.type", "-"], 0),
        (["--", "config", "get", "device.type"], 2),
        (["config", "--", "get", "device.type"], 2),
        (["config", "get", "device.type", "--debug=1"], 2),
        (["config", "get", "device.type", "--deb"], 2),
        (["config", "get", "device.type", "x"], 2),
        (["config", "get", "device.type", "-x"], 2),
        (["cert", "show", "c8y", "c8y"], 2),
        (["cert", "show", "--profile"], 2),
        (["config", "get", ""], 2),
        (["cert", "show", ""], 2),
        (["cert", "renew", "--ca", ""], 2),
        (["config", "get", "device.type", "--profile", ""], 2),
        (["cert", "create", "--device-id", ""], 1),
        (["cert", "show", "--cert-path", ""], 1),
        (["cert", "needs-renewal", "--cert-path", ""], 2),
    ],
)
def test_words_are_options_or_values_by_one_rule(tmp_path: Path, words: list[str], code: int) -> None:
    result = run(["tedge", *words], tmp_path)
    assert result.exit == code, result.stderr
    assert (result.stderr == "") is (code == 0)


@pytest.mark.parametrize(("words", "code"), [("cert show --new c8y", 1), ("cert renew --ca self-signed c8y", 1)])
def test_the_cloud_may_come_last(tmp_path: Path, words: str, code: int) -> None:
    result = run(["tedge", *words.split()], tmp_path)
    assert result.exit == code
    assert "cannot read the certificate" in result.stderr
