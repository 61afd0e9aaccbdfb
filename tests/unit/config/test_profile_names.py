# SPDX-License-Identifier: Apache-2.0
"""`tedge config` with profiles, other clouds, old names, and the mapper's files of thin-edge 2.x."""

from pathlib import Path

import pytest

from tedge_cert.config import settings as configuration
from tedge_cert.config.keys.table import KEYS
from unit.commands.test_config import config
from unit.config.test_settings import write
from unit.local_device import Result


def test_the_key_itself_can_name_the_profile(tmp_path: Path) -> None:
    assert config(tmp_path, "set", "c8y.profiles.Second.url", "two.example") == Result(0, "", "")
    assert config(tmp_path, "get", "c8y.profiles.second.http").stdout == "two.example:443\n"
    assert config(tmp_path, "get", "c8y.http", "--profile", "second").stdout == "two.example:443\n"
    assert (tmp_path / "tedge.toml").read_text() == '[c8y.profiles.second]\nurl = "two.example"\n'
    # It says more than the environment does.
    assert config(tmp_path, "get", "c8y.profiles.second.url", TEDGE_CLOUD_PROFILE="third").stdout == "two.example\n"


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ("get device.type --profile p", 1, "'device.type' is the same for all profiles; leave out --profile p"),
        ("set c8y.profiles.p.url x.example --profile p", 1, "'c8y.profiles.p.url' names a profile itself"),
        ("get c8y.profiles.p.nosuch", 2, "unknown configuration key 'c8y.nosuch'"),
        ("get c8y.profiles.p", 2, "unknown configuration key 'c8y.profiles.p'"),
        ("get device.profiles.p.id", 2, "unknown configuration key"),
        ("get c8y.profiles.p.url", 1, "no profile 'p' of c8y"),
        ("get aws.url --profile p", 1, "no profile 'p' of aws"),
        ("add c8y.smartrest.templates x --profile p", 1, "no profile 'p' of c8y"),
        ("remove az.topics x --profile p", 1, "no profile 'p' of az"),
    ],
)
def test_a_profile_has_to_fit_its_key(tmp_path: Path, words: str, exit_code: int, said: str) -> None:
    result = config(tmp_path, *words.split())
    assert (result.exit, result.stdout) == (exit_code, "")
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_profile_of_the_environment_means_the_keys_that_it_fits(tmp_path: Path) -> None:
    assert config(tmp_path, "set", "device.type", "x", TEDGE_CLOUD_PROFILE="p") == Result(0, "", "")
    assert config(tmp_path, "get", "device.type", TEDGE_CLOUD_PROFILE="p").stdout == "x\n"
    assert "c8y.bridge.topic_prefix=c8y\n" in config(tmp_path, "list", TEDGE_CLOUD_PROFILE="p").stdout


def test_variables_make_a_profile(tmp_path: Path) -> None:
    variables = {
        "TEDGE_C8Y_PROFILES_THIRD_URL": "three.example",
        "TEDGE_C8Y_PROFILES_FOUR_TH_ROOT_CERT_PATH": "/ca",
        "TEDGE_C8Y_PROFILES_A_B_URL": "ab.example",
    }
    config(tmp_path, "set", "c8y.url", "x.example", "--profile", "a-b")
    assert config(tmp_path, "get", "c8y.http", "--profile", "third", **variables).stdout == "three.example:443\n"
    assert config(tmp_path, "get", "c8y.url", "--profile", "a-b", **variables).stdout == "ab.example\n"
    urls = config(tmp_path, "list", "root_cert_path", **variables).stdout.splitlines()
    profiles = [line.split(".")[2] for line in urls if line.startswith("c8y.profiles.") and ".est." not in line]
    assert profiles == ["a-b", "four_th", "third"]


def test_a_profile_is_listed_after_its_cloud(tmp_path: Path) -> None:
    config(tmp_path, "set", "c8y.url", "two.example", "--profile", "second")
    config(tmp_path, "set", "az.url", "az.example", "--profile", "b")
    lines = [line.partition("=")[0] for line in config(tmp_path, "list", "topic_prefix").stdout.splitlines()]
    assert lines == [
        "c8y.bridge.topic_prefix",
        "c8y.profiles.second.bridge.topic_prefix",
        "az.bridge.topic_prefix",
        "az.profiles.b.bridge.topic_prefix",
        "aws.bridge.topic_prefix",
    ]


@pytest.mark.parametrize(("cloud", "profile"), [("c8y", ""), ("az", ""), ("aws", ""), ("c8y", "p"), ("az", "p")])
def test_the_mappers_file_wins_and_is_written(tmp_path: Path, cloud: str, profile: str) -> None:
    table = f"{cloud}.profiles.{profile}" if profile else cloud
    mapper = tmp_path / f"mappers/{cloud}{'.' + profile if profile else ''}/mapper.toml"
    write(tmp_path, f'[{table}]\nurl = "old.example"\ndevice.id = "old"\n')
    before = (tmp_path / "tedge.toml").read_text()
    mapper.parent.mkdir(parents=True)
    mapper.write_text('# mine\nurl = "new.example" # here\ncloud_type = "c8y"\n')
    option = ["--profile", profile] if profile else []
    assert config(tmp_path, "get", f"{cloud}.url", *option).stdout == "new.example\n"
    assert config(tmp_path, "get", f"{cloud}.device.id", *option).exit == 1
    assert config(tmp_path, "set", f"{cloud}.bridge.topic_prefix", "new", *option).exit == 0
    assert config(tmp_path, "set", f"{cloud}.url", "newer.example", *option).exit == 0
    assert mapper.read_text() == (
        '# mine\nurl = "newer.example" # here\ncloud_type = "c8y"\n\n[bridge]\ntopic_prefix = "new"\n'
    )
    assert (tmp_path / "tedge.toml").read_text() == before


def test_old_names_mean_the_present_keys(tmp_path: Path) -> None:
    assert config(tmp_path, "set", "azure.url", "x.example").exit == 0
    assert config(tmp_path, "get", "az.url").stdout == "x.example\n"
    done = config(tmp_path, "set", "mqtt.external.capath", "/ca")
    assert (done.exit, done.stdout) == (0, "")
    assert "'mqtt.external.capath' is called 'mqtt.external.ca_path' now" in done.stderr
    assert config(tmp_path, "get", "mqtt.external.ca_path") == Result(0, "/ca\n", "")


@pytest.mark.parametrize(("text", "stored"), [("c.pem", "{cwd}/c.pem"), ("/a/../b//c", "/b/c"), ("../x", "{up}/x")])
def test_a_path_on_the_command_line_is_relative_to_where_one_is(
    tmp_path: Path, text: str, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config(tmp_path, "set", "device.cert_path", text).exit == 0
    wanted = stored.format(cwd=tmp_path, up=tmp_path.parent)
    assert config(tmp_path, "get", "device.cert_path").stdout == wanted + "\n"


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        (["set b, a"], ["b", " a"]),
        (["set b", "add c,a"], ["a", "b", "c"]),
        (["add b", "add b,a"], ["a", "b"]),
        (["set b,a,b", "remove a"], ["b", "b"]),
    ],
)
def test_lists_are_ordered_by_add_and_by_nothing_else(tmp_path: Path, steps: list[str], value: list[str]) -> None:
    for step in steps:
        verb, _, text = step.partition(" ")
        assert config(tmp_path, verb, "c8y.smartrest.templates", text).exit == 0
    shown = "[" + ", ".join(f'"{each}"' for each in value) + "]\n"
    assert config(tmp_path, "get", "c8y.smartrest.templates").stdout == shown


def test_add_and_remove_begin_with_what_a_list_is_by_default(tmp_path: Path) -> None:
    default = KEYS["az.topics"].default
    assert isinstance(default, list)
    config(tmp_path, "add", "az.topics", "a/b")
    assert configuration.load(str(tmp_path)).get("az.topics") == ["a/b", *sorted(default)]
    config(tmp_path, "remove", "aws.topics", default[1])
    assert configuration.load(str(tmp_path)).get("aws.topics") == [each for each in default if each != default[1]]
