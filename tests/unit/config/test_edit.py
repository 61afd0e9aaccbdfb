# SPDX-License-Identifier: Apache-2.0
"""Changes of `tedge.toml` that keep all other content of the file."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from tedge_cert.config import edit
from tedge_cert.config import settings as config
from tedge_cert.errors import ConfigurationError, TedgeCertError, UnknownKeyError

# Shapes of a file: each with comments, keys that are not ours, and one key of ours (c8y.http).
SHAPES = {
    "tables": '# head\n[c8y] # cloud\nhttp = "a:1" # why\nnosuch = 5\n\n# the device\n[device]\ntype = "x"\n# end\n',
    "no line break at the end": '# head\n[c8y]\nhttp = "a:1" # why',
    "CR LF": '# head\r\n[c8y]\r\nhttp = "a:1" # why\r\n\r\n[nosuch]\r\nkey = [1, 2]\r\n',
    "dotted keys": '# head\nc8y.http = "a:1" # why\ndevice.type = "x"\nnosuch.key = 5\n',
    "an inline table": '# head\nc8y = { http = "a:1", nosuch = 5 } # why\n[device]\ntype = "x"\n',
    "out of order": '[c8y]\nhttp = "a:1" # why\n\n[device]\ntype = "x"\n\n[c8y.profiles.second]\nhttp = "b:1" # b\n',
    "apart": '[c8y.bridge]\ntopic_prefix = "a" # why\n[device]\ntype = "x"\n[c8y.smartrest] # b\ntemplates = []\n',
    "spaces": '[ c8y ]\n   http   =   "a:1"   # why\n\n\n\n# end\n',
    "comments alone": "# head\n# and no line break",
    "nothing": "",
    "a mark of UTF-8": '\ufeff# head\n[c8y]\nhttp = "a:1" # why\n',
}
CHANGES = {
    "c8y.url": "new.example",
    "c8y.device.id": "d-1",
    "device.id": "d-2",
    "mqtt.bind.port": "1884",
    "c8y.smartrest.templates": "a,b",
    "certificate.validity.minimum_duration": "9d",
}


def load(directory: Path, text: str | None = None, profile: str = "") -> config.Config:
    if text is not None:
        (directory / "tedge.toml").write_bytes(text.encode())
    return config.load(str(directory), profile)


def content(directory: Path) -> str:
    return (directory / "tedge.toml").read_bytes().decode()


def remarks(text: str) -> list[str]:
    return sorted(line[line.index("#") :].strip() for line in text.splitlines() if "#" in line)


@pytest.mark.parametrize("profile", ["", "second"])
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sets_one_key_and_changes_nothing_else(tmp_path: Path, shape: str, name: str, profile: str) -> None:
    settings = load(tmp_path, SHAPES[shape], profile)
    edit.set_value(settings, name, CHANGES[name])
    after = tomllib.loads(content(tmp_path).removeprefix("\ufeff"))
    wanted = tomllib.loads(SHAPES[shape].removeprefix("\ufeff"))
    *above, last = settings.place(name)[1]
    node = wanted
    for part in above:
        node = node.setdefault(part, {})
    node[last] = load(tmp_path, profile=profile).get(name)
    assert after == wanted
    assert remarks(content(tmp_path)) == remarks(SHAPES[shape])
    assert ("\r\n" in content(tmp_path)) == (shape == "CR LF")
    assert content(tmp_path).startswith("\ufeff") == (shape == "a mark of UTF-8")

    edit.unset_value(load(tmp_path, profile=profile), name)
    assert load(tmp_path, profile=profile).stored(name)[0] is None
    assert remarks(content(tmp_path)) == remarks(SHAPES[shape])


def test_a_new_file_is_written_as_people_do(tmp_path: Path) -> None:
    edit.set_value(load(tmp_path), "device.type", "gateway")
    edit.set_value(load(tmp_path, profile="p"), "c8y.url", "p.example")
    assert content(tmp_path) == '[device]\ntype = "gateway"\n\n[c8y.profiles.p]\nurl = "p.example"\n'
    edit.set_value(load(tmp_path), "c8y.url", "a.example")
    assert (load(tmp_path).get("c8y.url"), load(tmp_path, profile="p").get("c8y.url")) == ("a.example", "p.example")
    assert (tmp_path / "tedge.toml").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "name", "value", "said"),
    [
        (
            '[c8y]\nurl = "a"\n',
            "c8y.url",
            "https://a/",
            "cannot set c8y.url to 'https://a/': expected a host name",
        ),
        ("", "device.id", "a:b", "cannot set device.id to 'a:b': a device id has only"),
        ("", "device.type", "a\nb", "without line breaks"),
        ('c8y = "x"\n', "c8y.url", "a", "expected a table above c8y.url; `sudo editor .1 .*tedge.toml` opens the file"),
        ('[[c8y]]\nurl = "x"\n', "c8y.url", "a", "expected a table above c8y.url"),
    ],
)
def test_what_cannot_be_set_changes_nothing(tmp_path: Path, text: str, name: str, value: str, said: str) -> None:
    settings = load(tmp_path, text)
    with pytest.raises(ConfigurationError, match=said):
        edit.set_value(settings, name, value)
    assert content(tmp_path) == text
    assert [each.name for each in tmp_path.iterdir()] == ["tedge.toml"]


def test_an_editor_that_loses_something_changes_nothing(tmp_path: Path, mocker: MockerFixture) -> None:
    text = '[c8y.profiles.p]\n[device]\n[c8y]\nhttp = "a:1"\n'
    settings = load(tmp_path, text)
    mocker.patch("tedge_cert.config.edit.tomlkit.dumps", return_value='[c8y]\nurl = "a"\n')
    with pytest.raises(ConfigurationError, match=r"cannot change c8y.url and keep everything else"):
        edit.set_value(settings, "c8y.url", "a")
    assert content(tmp_path) == text


@pytest.mark.parametrize("change", [edit.set_value, edit.add_value, edit.remove_value])
def test_unknown_keys(tmp_path: Path, change: Any) -> None:
    with pytest.raises(UnknownKeyError, match=r"'c8y.urk'; did you mean 'c8y.url'"):
        change(load(tmp_path), "c8y.urk", "x")
    with pytest.raises(UnknownKeyError):
        edit.unset_value(load(tmp_path), "c8y.urk")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        (["add one"], ["one"]),
        (["add one", "add two", "add one", "remove one"], ["two"]),
        (["set a,b,c", "add b,d", "remove a,c"], ["b", "d"]),
        (["remove zzz"], None),
        (["set a", "remove zzz"], ["a"]),
        (["set a", "remove a"], []),
    ],
)
def test_lists_grow_and_shrink(tmp_path: Path, steps: list[str], value: list[str] | None) -> None:
    changes = {"add": edit.add_value, "remove": edit.remove_value, "set": edit.set_value}
    for step in steps:
        verb, text = step.split()
        changes[verb](load(tmp_path), "c8y.smartrest.templates", text)
    assert load(tmp_path).stored("c8y.smartrest.templates")[0] == value


@pytest.mark.parametrize("change", [edit.add_value, edit.remove_value])
def test_a_key_with_one_value_is_no_list(tmp_path: Path, change: Any) -> None:
    settings = load(tmp_path, '[device]\ntype = "one"\n')
    for value in ("one", "two"):
        with pytest.raises(
            ConfigurationError, match=r"no list.*`sudo tedge config set device.type <value>`.*unset device.type"
        ):
            change(settings, "device.type", value)
    assert content(tmp_path) == '[device]\ntype = "one"\n'


@pytest.mark.parametrize("dangling", [False, True])
@pytest.mark.parametrize("name", ["tedge.toml", "mappers/c8y/mapper.toml", "mappers/c8y.second/mapper.toml"])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, name: str, dangling: bool) -> None:
    link, target = tmp_path / "etc" / name, tmp_path / "data" / "settings.toml"
    target.parent.mkdir()
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    if not dangling:
        target.write_text("# kept\n")
    profile = "second" if "second" in name else ""
    edit.set_value(load(tmp_path / "etc", profile=profile), "c8y.url", "a.example")
    assert link.is_symlink()
    assert [each.name for each in target.parent.iterdir()] == ["settings.toml"]
    assert [each.name for each in link.parent.iterdir()] == [link.name]
    assert "# kept\n" in target.read_text() or dangling
    assert load(tmp_path / "etc", profile=profile).get("c8y.url") == "a.example"
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("whose", ["root's", "others'"])
def test_root_writes_no_target_where_others_can_write(tmp_path: Path, mocker: MockerFixture, whose: str) -> None:
    """The settings of the system: who can write beside the target can lead root elsewhere."""
    mocker.patch("tedge_cert.config.settings.SYSTEM_DIRECTORY", str(tmp_path / "etc"))
    only_roots = mocker.patch("tedge_cert.disk.owners.is_only_roots", return_value=whose == "root's")
    target = tmp_path / "data" / "tedge.toml"
    for each in (target.parent, tmp_path / "etc"):
        each.mkdir()
    (tmp_path / "etc/tedge.toml").symlink_to(target)
    settings = load(tmp_path / "etc")
    if whose == "root's":
        edit.set_value(settings, "device.type", "x")
        assert target.exists()
    else:
        with pytest.raises(
            ConfigurationError, match=f"leads to {target}, and others than root can write in {target.parent}"
        ):
            edit.set_value(settings, "device.type", "x")
        assert list(target.parent.iterdir()) == []
    only_roots.assert_called_once_with(target.parent)


def test_the_environment_is_not_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEDGE_C8Y_SMARTREST_TEMPLATES", "from-environment")
    edit.add_value(load(tmp_path), "c8y.smartrest.templates", "one")
    assert tomllib.loads(content(tmp_path)) == {"c8y": {"smartrest": {"templates": ["one"]}}}


def test_keys_of_the_cloud_go_where_the_mapper_keeps_them(tmp_path: Path) -> None:
    mapper = tmp_path / "mappers" / "c8y" / "mapper.toml"
    mapper.parent.mkdir(parents=True)
    mapper.write_text("# the mapper's\n")
    edit.set_value(load(tmp_path), "c8y.url", "a.example")
    edit.set_value(load(tmp_path), "device.type", "x")
    assert mapper.read_text() == 'cloud_type = "c8y"\n# the mapper\'s\nurl = "a.example"\n'
    assert content(tmp_path) == '[device]\ntype = "x"\n'


def test_unset_of_what_is_not_set_writes_nothing(tmp_path: Path) -> None:
    edit.unset_value(load(tmp_path), "c8y.url")
    assert list(tmp_path.iterdir()) == []


KEY = st.text("ab\u00e4 .#'", min_size=1, max_size=3)
LEAF = st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.lists(st.integers(), max_size=2))
TREE = st.recursive(
    st.dictionaries(KEY, LEAF, max_size=3), lambda inner: st.dictionaries(KEY, inner | LEAF, max_size=3)
)


@given(TREE, st.text(max_size=20))
def test_whatever_else_a_file_holds_stays(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any], value: str
) -> None:
    import tomlkit

    directory = tmp_path_factory.getbasetemp() / "whatever"
    directory.mkdir(exist_ok=True)
    settings = load(directory, tomlkit.dumps({"other": tree}))
    before = tomllib.loads(content(directory))
    try:
        edit.set_value(settings, "certificate.organization", value)
    except TedgeCertError:
        assert tomllib.loads(content(directory)) == before
        return
    assert tomllib.loads(content(directory)) == {**before, "certificate": {"organization": value}}
