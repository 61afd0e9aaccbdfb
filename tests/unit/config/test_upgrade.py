# SPDX-License-Identifier: Apache-2.0
"""`tedge config upgrade`: the clouds of `tedge.toml` move to files below `mappers`, whole or not at all."""

import errno
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.config import mapper_files, upgrade
from tedge_cert.config import settings as configuration
from tedge_cert.disk import files
from tedge_cert.errors import ConfigurationError, TedgeCertError
from unit.commands.test_config import config
from unit.config.test_settings import write

URL = 'cloud_type = "{}"\nurl = "{}"\n'
TWO = 'c8y.url = "a.example"\nc8y.profiles.prod.url = "p.example"\n'


def contents(directory: Path) -> dict[str, str]:
    found = [each for each in directory.rglob("*") if each.is_file()]
    return {str(each.relative_to(directory)): each.read_bytes().decode() for each in found}


def moved(directory: Path, text: str) -> dict[str, str]:
    """The files after the upgrade of this one, without its backup."""
    (directory / "tedge.toml").write_bytes(text.encode())
    assert upgrade.upgrade(configuration.load(str(directory)))
    found = contents(directory)
    assert found.pop("tedge.toml.bak") == text
    return {name.removeprefix("mappers/").removesuffix("/mapper.toml"): each for name, each in found.items()}


def test_each_profile_of_each_cloud_gets_its_file(tmp_path: Path) -> None:
    hosts = {"c8y": "c", "c8y.prod": "cp", "c8y.test": "ct", "az": "a", "az.prod": "ap", "aws": "w", "aws.test": "wt"}
    keys = {name: ".profiles.".join(name.split(".")) for name in hosts}
    for name, host in hosts.items():
        config(tmp_path, "set", f"{keys[name]}.url", f"{host}.example")
    config(tmp_path, "set", "device.type", "x")
    done = config(tmp_path, "upgrade")
    assert (done.exit, done.stdout) == (0, "")
    assert f"moved the settings of c8y, az, aws from {tmp_path}/tedge.toml to {tmp_path}/mappers" in done.stderr
    assert f"{tmp_path}/tedge.toml.bak is the file as it was" in done.stderr
    found = contents(tmp_path)
    assert found.pop("tedge.toml") == '[device]\ntype = "x"\n'
    assert tomllib.loads(found.pop("tedge.toml.bak"))["aws"]["profiles"]["test"] == {"url": "wt.example"}
    assert found == {
        f"mappers/{name}/mapper.toml": URL.format(name.partition(".")[0], f"{host}.example")
        for name, host in hosts.items()
    }
    for name, host in hosts.items():
        assert config(tmp_path, "get", f"{keys[name]}.url").stdout == f"{host}.example\n"
    # A second run finds nothing, and leaves the backup.
    before = contents(tmp_path)
    again = config(tmp_path, "upgrade")
    assert (again.exit, again.stdout) == (0, "")
    assert f"nothing to move: {tmp_path}/tedge.toml has no settings of a cloud" in again.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", [None, "", '[device]\ntype = "x"\n'])
def test_without_a_cloud_nothing_is_written(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        write(tmp_path, text)
    write(tmp_path, 'url = "a.example"\n', "mappers/c8y/mapper.toml")
    before = contents(tmp_path)
    assert config(tmp_path, "upgrade").exit == 0
    assert contents(tmp_path) == before


def test_the_next_upgrade_overwrites_the_backup(tmp_path: Path) -> None:
    moved(tmp_path, 'c8y.url = "a.example"\n')
    assert moved(tmp_path, 'az.url = "b.example"\n')["az"] == URL.format("az", "b.example")


# Text of tedge.toml, what stays of it, and the files that are made. Comments go with what they are written to.
SHAPES: dict[str, tuple[str, str, dict[str, str]]] = {
    "tables": (
        '# head\n\n# the cloud\n[c8y] # why\n# where\nurl = "a" # here\n\n[c8y.bridge] # b\ntopic_prefix = "x"\n'
        '# of the device\n[device]\ntype = "x"\n',
        '# head\n\n# of the device\n[device]\ntype = "x"\n',
        {"c8y": '# the cloud\n# why\n# where\nurl = "a" # here\n\n[bridge] # b\ntopic_prefix = "x"\n'},
    ),
    "dotted": (
        '# u\nc8y.url = "a"\nmqtt.port = 1\nc8y.bridge.topic_prefix = "x"\n',
        "mqtt.port = 1\n",
        {"c8y": '# u\nurl = "a"\nbridge.topic_prefix = "x"\n'},
    ),
    "profiles": (
        '[c8y.profiles.p] # p\nurl = "a"\n[c8y.profiles.p.device]\nid = "d"\n[c8y.profiles]\nQ.url = "b" # q\n'
        '[az]\nprofiles.r.device.id = "e"\n',
        "",
        {"c8y.p": '# p\nurl = "a"\n\n[device]\nid = "d"\n', "c8y.q": 'url = "b" # q\n', "az.r": 'device.id = "e"\n'},
    ),
    "braces": ('c8y = { url = "a" } # why\n[device]\n', "[device]\n", {"c8y": 'url = "a"\n'}),
    "profiles in braces": ('[c8y]\nurl = "a" # u\nprofiles = { p = { url = "b" } }\n', "",
                           {"c8y": 'url = "a"\n', "c8y.p": 'url = "b"\n'}),
    "several lines": (
        '[c8y]\ntopics = [ # t\n  "a/[b]",\n  """\n[az]\n"""]\nx = \'\'\'\n# no comment\n\'\'\'\n[device]\n',
        "[device]\n",
        {"c8y": 'topics = [ # t\n  "a/[b]",\n  """\n[az]\n"""]\nx = \'\'\'\n# no comment\n\'\'\'\n'},
    ),
    "quoted": (
        '["c8y"."x = ]"] # q\n"a=b" = 1\n["d c"]\nk = 2\n',
        '["d c"]\nk = 2\n',
        {"c8y": '["x = ]"] # q\n"a=b" = 1\n'},
    ),
    "arrays of tables": (
        "[[c8y.x]]\nk = 1\n[[c8y.x]] # two\nk = 2\n",
        "",
        {"c8y": "[[x]]\nk = 1\n[[x]] # two\nk = 2\n"},
    ),
    "out of order": (
        '[c8y.bridge]\nk = 1\n[device]\n[c8y]\nurl = "a"\n[az]\nurl = "b"\n[c8y.device]\nid = "d"\n',
        "[device]\n",
        {"c8y": 'url = "a"\n\n[bridge]\nk = 1\n[device]\nid = "d"\n', "az": 'url = "b"\n'},
    ),
    "CR LF": (
        '[c8y] # why\r\nurl = "a"\r\n[c8y.bridge]\r\nk = 1\r\n[device]\r\n',
        "[device]\r\n",
        {"c8y": '# why\r\nurl = "a"\r\n\r\n[bridge]\r\nk = 1\r\n'},
    ),
    "no line break at the end": ('[device]\n[c8y]\nurl = "a"', "[device]\n", {"c8y": 'url = "a"\n'}),
    "no setting": ("[c8y]\n[c8y.profiles.p]\n[device]\n", "[device]\n", {}),
    "old names": (
        '[c8y.enable]\nlog_management = true # l\nx = 1\n[c8y.profiles.p]\nenable.log_management = false # m\n',
        "",
        {"c8y": "[enable]\nlog_upload = true # l\nx = 1\n", "c8y.p": "enable.log_upload = false # m\n"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_comments_and_unknown_keys_are_kept(tmp_path: Path, shape: str) -> None:
    text, stays, made = SHAPES[shape]
    found = moved(tmp_path, text)
    assert found.pop("tedge.toml") == stays
    end = "\r\n" if shape == "CR LF" else "\n"
    assert found == {name: f'cloud_type = "{name.partition(".")[0]}"{end}{each}' for name, each in made.items()}


KEY = st.sampled_from(["url", "topics", "bridge", "c8y", "a b", "profiles"])
LEAF = st.one_of(st.text(max_size=5), st.integers(), st.lists(st.integers(), max_size=2))
TREE = st.recursive(
    st.dictionaries(KEY, LEAF, max_size=3), lambda inner: st.dictionaries(KEY, inner | LEAF, max_size=3)
)


@given(TREE, TREE, TREE)
def test_no_value_is_lost(
    tmp_path_factory: pytest.TempPathFactory, cloud: dict[str, Any], profile: dict[str, Any], other: dict[str, Any]
) -> None:
    import tomlkit

    directory = tmp_path_factory.getbasetemp() / "upgraded"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    cloud.pop("profiles", None)
    text = tomlkit.dumps({"other": other, "az": {**cloud, "profiles": {"p": profile}}})
    found = {name: tomllib.loads(each) for name, each in moved(directory, text).items()}
    assert found.pop("tedge.toml") == {"other": other}
    wanted = {"az": cloud, "az.p": profile}
    assert found == {name: {"cloud_type": "az", **each} for name, each in wanted.items() if each}


@pytest.mark.parametrize(
    ("present", "kept"),
    [
        ({"c8y": 'url = "a.example" # u\n'}, {}),
        ({"c8y": URL.format("c8y", "a.example"), "c8y.prod": URL.format("c8y", "p.example")}, {}),
        ({"c8y": 'url = "wrong.example"\n'}, {"c8y": 'url = "wrong.example"\n'}),
        ({"c8y.prod": "not = [valid\n"}, {"c8y.prod": "not = [valid\n"}),
    ],
)
def test_a_file_that_is_there_already(tmp_path: Path, present: dict[str, str], kept: dict[str, str]) -> None:
    """One that an upgrade left half-way is completed; other settings are kept aside."""
    write(tmp_path, TWO)
    for name, text in {**present, "c8y.third": 'url = "t.example"\n'}.items():
        write(tmp_path, text, f"mappers/{name}/mapper.toml")
    done = config(tmp_path, "upgrade")
    assert done.exit == 0
    found = contents(tmp_path)
    assert tomllib.loads(found["mappers/c8y/mapper.toml"]) == {"cloud_type": "c8y", "url": "a.example"}
    assert tomllib.loads(found["mappers/c8y.prod/mapper.toml"]) == {"cloud_type": "c8y", "url": "p.example"}
    assert found["mappers/c8y.third/mapper.toml"] == 'url = "t.example"\n'
    assert "# u" in found["mappers/c8y/mapper.toml"] or "# u" not in str(present)
    assert {name: each for name, each in found.items() if name.endswith("mapper.toml.bak")} == {
        f"mappers/{name}/mapper.toml.bak": text for name, text in kept.items()
    }
    for name in kept:
        assert f"mapper.toml had other settings, which are kept as {tmp_path}/mappers/{name}/mapper" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[c8y", "is not valid TOML"),
        ("c8y = 1\n", "expected a table c8y"),
        ("[c8y]\nprofiles = 1\n", "one c8y.profiles"),
        ('c8y.profiles."../x".url = "a"\n', "c8y.profiles.../x cannot be a profile"),
        ("[c8y]\nprofiles.p = 1\n", "c8y.profiles.p cannot be a profile"),
        ('c8y.profiles.P.url = "a"\nc8y.profiles.p.url = "b"\n', "c8y.profiles.p cannot be a profile"),
        ("[c8y.enable]\nlog_upload = true\nlog_management = true\n", "'c8y.enable.log_management' is called"),
    ],
)
def test_what_cannot_be_moved_is_named_and_kept(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, text)
    refused = config(tmp_path, "upgrade")
    assert (refused.exit, refused.stdout) == (1, "")
    assert f"error: {tmp_path}/tedge.toml" in refused.stderr
    assert said in refused.stderr
    assert contents(tmp_path) == {"tedge.toml": text}


def test_modes_are_set_whatever_the_umask(tmp_path: Path) -> None:
    write(tmp_path, TWO)
    before = os.umask(0o077)
    try:
        assert config(tmp_path, "upgrade").exit == 0
    finally:
        os.umask(before)
    modes = {str(each.relative_to(tmp_path)): each.stat().st_mode & 0o777 for each in tmp_path.rglob("*")}
    assert {modes[each] for each in modes if each.endswith(("toml", "bak"))} == {0o644}
    assert {modes[each] for each in modes if not each.endswith(("toml", "bak"))} == {0o755}


@contextmanager
def as_another_user() -> Iterator[Path]:
    """Give a configuration to a user without rights, and become that user."""
    directory = Path(tempfile.mkdtemp())
    write(directory, TWO + 'az.url = "z.example"\n')
    (directory / "mappers/c8y.prod").mkdir(parents=True)
    for each in (directory, directory / "tedge.toml", *(directory / "mappers").rglob("*"), directory / "mappers"):
        os.chown(each, 65534, 65534)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield directory
    finally:
        os.seteuid(0)
        os.setegid(0)
        shutil.rmtree(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("shut", "mode", "said"),
    [
        (".", 0o555, "cannot write {}/tedge.toml: Permission denied"),
        ("mappers", 0o555, "cannot write {}/mappers/c8y/mapper.toml: Permission denied"),
        ("mappers", 0o000, "cannot read {}/mappers/c8y/mapper.toml: Permission denied"),
        ("mappers/c8y.prod", 0o555, "cannot write {}/mappers/c8y.prod/mapper.toml: Permission denied"),
        ("mappers/c8y.prod", 0o000, "cannot read {}/mappers/c8y.prod/mapper.toml: Permission denied"),
        ("tedge.toml", 0o000, "cannot read {}/tedge.toml: Permission denied"),
    ],
)
def test_a_missing_right_changes_nothing(shut: str, mode: int, said: str) -> None:
    with as_another_user() as directory:
        before = contents(directory)
        (directory / shut).chmod(mode)
        with pytest.raises(TedgeCertError) as error:
            upgrade.upgrade(configuration.load(str(directory)))
        (directory / shut).chmod(0o755)
        assert said.format(directory) in str(error.value)
        assert contents(directory) == before
        assert [each.name for each in (directory / "mappers").iterdir()] == ["c8y.prod"]
        assert upgrade.upgrade(configuration.load(str(directory)))


@pytest.mark.parametrize("number", [errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("at", ["c8y/mapper.toml", "c8y.prod/mapper.toml", "tedge.toml"])
def test_an_error_at_the_last_moment_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, at: str
) -> None:
    """Even when the new file has its name already, and only the sync of its directory failed."""
    write(tmp_path, TWO)
    write(tmp_path, 'url = "old.example"\n', "mappers/c8y.prod/mapper.toml")
    rename: Callable[[Path, Path], float] = files.rename

    def fail(source: Path, target: Path) -> float:
        done = rename(source, target)
        if str(target).endswith(f"/{at}"):
            monkeypatch.setattr(files, "rename", rename)
            raise TedgeCertError(f"cannot write {target}") from OSError(number, os.strerror(number))
        return done

    monkeypatch.setattr(files, "rename", fail)
    with pytest.raises(TedgeCertError, match=os.strerror(number)):
        upgrade.upgrade(configuration.load(str(tmp_path)))
    found = contents(tmp_path)
    assert (found["tedge.toml"], found["mappers/c8y.prod/mapper.toml"]) == (TWO, 'url = "old.example"\n')
    assert not (tmp_path / "mappers/c8y").exists()
    assert not [each for each in found if each.endswith(".tmp")]
    assert upgrade.upgrade(configuration.load(str(tmp_path)))
    assert tomllib.loads(contents(tmp_path)["mappers/c8y.prod/mapper.toml"])["url"] == "p.example"


def test_links_are_followed_and_stay(tmp_path: Path) -> None:
    """A device may keep its settings on another partition."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "mappers/c8y").mkdir(parents=True)
    for name, text in (("tedge.toml", TWO), ("mappers/c8y/mapper.toml", 'url = "old.example"\n')):
        (data / Path(name).name).write_text(text)
        (tmp_path / name).symlink_to(data / Path(name).name)
    assert upgrade.upgrade(configuration.load(str(tmp_path)))
    assert {each.name for each in data.iterdir()} == {"tedge.toml", "mapper.toml"}
    assert (data / "tedge.toml").read_text() == ""
    assert (data / "mapper.toml").read_text() == URL.format("c8y", "a.example")
    assert (tmp_path / "tedge.toml.bak").read_text() == TWO
    assert (tmp_path / "mappers/c8y/mapper.toml.bak").read_text() == 'url = "old.example"\n'


@pytest.mark.parametrize("shut", ["mappers", "mappers/az"])
def test_a_file_in_the_way_changes_nothing(tmp_path: Path, shut: str) -> None:
    write(tmp_path, 'c8y.url = "a.example"\naz.url = "b.example"\n')
    write(tmp_path, "in the way\n", shut)
    before = contents(tmp_path)
    refused = config(tmp_path, "upgrade")
    assert refused.exit == 1
    assert f"{tmp_path}/{shut}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_writes_nothing_where_another_user_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapper_files, "SYSTEM_DIRECTORY", str(tmp_path))
    (tmp_path / "mappers/c8y").mkdir(parents=True)
    os.chown(tmp_path / "mappers/c8y", 65534, 65534)
    with pytest.raises(ConfigurationError, match=r"can be written by others than root"):
        list(mapper_files.make_directories(tmp_path / "mappers/c8y/mapper.toml"))
