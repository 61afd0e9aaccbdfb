# SPDX-License-Identifier: Apache-2.0
"""The layout of thin-edge 2.x: the settings of each cloud profile in a file of their own, read and written."""

import os
import tomllib
from pathlib import Path

import pytest

from tedge_cert.config import settings as configuration
from tedge_cert.errors import ConfigurationError
from unit.commands.test_config import config
from unit.config.test_settings import write

CLOUDS = ["c8y", "az", "aws"]


def place(cloud: str, profile: str = "") -> str:
    return f"mappers/{cloud}{'.' + profile if profile else ''}/mapper.toml"


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("moved", ["", "other"])
def test_a_profile_that_only_the_main_file_has_is_unknown(tmp_path: Path, cloud: str, moved: str) -> None:
    """One file of a cloud below `mappers` is enough."""
    write(tmp_path, f'{cloud}.url = "a.example"\n{cloud}.profiles.left.url = "left.example"\n')
    assert config(tmp_path, "get", f"{cloud}.url", "--profile", "left").stdout == "left.example\n"
    write(tmp_path, 'url = "new.example"\n', place(cloud, moved))
    refused = config(tmp_path, "get", f"{cloud}.url", "--profile", "left")
    assert (refused.exit, refused.stdout) == (1, "")
    assert f"no profile 'left' of {cloud} in {tmp_path}/mappers (known: {moved or 'none'})" in refused.stderr
    assert f"{tmp_path}/tedge.toml has one, which is not read: `sudo tedge config upgrade` moves it" in refused.stderr
    settings = configuration.load(str(tmp_path))
    assert settings.get(f"{cloud}.url") == (None if moved else "new.example")
    assert settings.profiles(cloud) == ([moved] if moved else [])


def test_a_value_that_is_not_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, 'c8y.url = "a.example"\n')
    write(tmp_path, 'url = "p.example"\n', place("c8y", "p"))
    with pytest.raises(ConfigurationError, match=r"the one in \S+/tedge.toml is not read: `sudo tedge config upgrade`"):
        configuration.load(str(tmp_path)).need("c8y.url")


@pytest.mark.parametrize("words", ["set c8y.url c.example", "set device.type x", "unset c8y.url"])
def test_a_change_says_which_settings_are_not_read(tmp_path: Path, words: str) -> None:
    write(tmp_path, 'c8y.url = "a.example"\naz.url = "z.example"\n')
    write(tmp_path, 'url = "p.example"\n', place("c8y", "p"))
    said = f"the settings of c8y in {tmp_path}/tedge.toml are not read: `sudo tedge config upgrade` moves them"
    assert said in config(tmp_path, *words.split()).stderr
    assert config(tmp_path, "upgrade").exit == 0
    assert "are not read" not in config(tmp_path, *words.split()).stderr


@pytest.mark.parametrize(
    "beside", ["c8y/flows/x.toml", "c8y.p/flows/x.toml", "c8y.p.old/mapper.toml", "mine/mapper.toml", "az/mapper.toml"]
)
def test_what_else_lies_below_mappers_changes_nothing(tmp_path: Path, beside: str) -> None:
    directory = write(tmp_path, 'c8y.url = "a.example"\nc8y.profiles.p.url = "p.example"\n')
    write(tmp_path, "# x\n", f"mappers/{beside}")
    assert configuration.load(directory).get("c8y.url") == "a.example"
    assert configuration.need_profile(configuration.load(directory, "p")).get("c8y.url") == "p.example"


def test_a_directory_that_cannot_be_searched_is_named(tmp_path: Path) -> None:
    directory = write(tmp_path, 'c8y.url = "a.example"\n')
    (tmp_path / "mappers").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot read \S+/mappers\S*: Not a directory"):
        configuration.load(directory).get("c8y.url")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_change_goes_to_the_file_of_its_profile(tmp_path: Path, cloud: str) -> None:
    write(tmp_path, 'url = "example.com"\n', place(cloud))
    typed = f'cloud_type = "{cloud}"\nurl = "new.example"\n'
    assert config(tmp_path, "set", f"{cloud}.url", "new.example").exit == 0
    assert (tmp_path / place(cloud)).read_text() == typed
    assert config(tmp_path, "set", f"{cloud}.url", "new.example", "--profile", "p").exit == 0
    assert (tmp_path / place(cloud, "p")).read_text() == typed
    assert config(tmp_path, "set", f"{cloud}.topics", "a/b", "--profile", "p").exit == 0
    assert config(tmp_path, "add", f"{cloud}.profiles.p.topics", "c/d").exit == 0
    assert (tmp_path / place(cloud, "p")).read_text() == f'{typed}topics = ["a/b", "c/d"]\n'
    assert (tmp_path / "tedge.toml").read_text() == ""


def test_what_is_made_can_be_read_by_all(tmp_path: Path) -> None:
    """Whatever the umask of the person, and where a run was killed between making a directory and opening it."""
    write(tmp_path, "", place("c8y"))
    (tmp_path / "mappers/c8y.q").mkdir(mode=0o700)
    before = os.umask(0o077)
    try:
        config(tmp_path, "set", "c8y.url", "p.example", "--profile", "p")
        config(tmp_path, "set", "c8y.url", "q.example", "--profile", "q")
    finally:
        os.umask(before)
    for made, mode in (("c8y.p", 0o755), ("c8y.p/mapper.toml", 0o644), ("c8y.q", 0o755)):
        assert (tmp_path / "mappers" / made).stat().st_mode & 0o777 == mode
    assert config(tmp_path, "list", "url").stdout == "c8y.profiles.p.url=p.example\nc8y.profiles.q.url=q.example\n"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("", 'cloud_type = "c8y"\n'),
        ("# mine\n[bridge] # why\n", 'cloud_type = "c8y"\n# mine\n'),
        ("# mine\r\n", 'cloud_type = "c8y"\r\n# mine\r\n'),
        ('# mine\ncloud_type = "c8y" # mine too\n', '# mine\ncloud_type = "c8y" # mine too\n'),
    ],
)
def test_the_type_of_the_cloud_is_there(tmp_path: Path, text: str, first: str) -> None:
    write(tmp_path, "", place("c8y"))
    (tmp_path / place("c8y")).write_bytes(text.encode())
    config(tmp_path, "set", "c8y.topics", "a/b")
    after = (tmp_path / place("c8y")).read_bytes().decode()
    assert after.startswith(first)
    assert tomllib.loads(after) == {**tomllib.loads(text), "cloud_type": "c8y", "topics": ["a/b"]}


@pytest.mark.parametrize(
    ("cloud", "profile", "typed"),
    [("c8y", "", ""), ("c8y", "p", 'cloud_type = "c8y" # why\n'), ("az", "", 'cloud_type = "az"\n'), ("aws", "p", "")],
)
def test_the_last_setting_goes_with_file_and_directory(tmp_path: Path, cloud: str, profile: str, typed: str) -> None:
    option = ["--profile", profile] if profile else []
    file = tmp_path / place(cloud, profile)
    write(tmp_path, f'{typed}url = "a.example"\n[bridge]\n', place(cloud, profile))
    write(tmp_path, 'url = "b.example"\n', place(cloud, "other"))
    config(tmp_path, "set", f"{cloud}.bridge.topic_prefix", "x", *option)
    assert config(tmp_path, "unset", f"{cloud}.url", *option).exit == 0
    assert file.exists()
    assert config(tmp_path, "unset", f"{cloud}.bridge.topic_prefix", *option).exit == 0
    assert not file.parent.exists()
    assert config(tmp_path, "list", "url").stdout == f"{cloud}.profiles.other.url=b.example\n"


@pytest.mark.parametrize("words", ["unset c8y.url", "remove c8y.smartrest.templates x", "set c8y.url a.example"])
def test_a_change_leaves_a_main_file(tmp_path: Path, words: str) -> None:
    """Scripts that were written for thin-edge read it, even if it is empty."""
    assert config(tmp_path, *words.split()).exit == 0
    assert (tmp_path / "tedge.toml").exists()


def test_a_directory_with_something_else_stays(tmp_path: Path) -> None:
    write(tmp_path, 'url = "a.example"\n', place("c8y"))
    write(tmp_path, "# flow\n", "mappers/c8y/flows/x.toml")
    assert config(tmp_path, "unset", "c8y.url").exit == 0
    assert [each.name for each in (tmp_path / "mappers/c8y").iterdir()] == ["flows"]


@pytest.mark.parametrize(
    ("main", "others", "stored"),
    [
        # Without any file below `mappers`, and where tedge.toml has a cloud already, it goes to tedge.toml.
        ("", [], "tedge.toml"),
        ("[device]\n", [], "tedge.toml"),
        ('aws.url = "x.example"\n', ["az"], "tedge.toml"),
        ('c8y.url = "x.example"\n', ["az"], "tedge.toml"),
        ("[device]\n", ["az.p"], place("c8y")),
    ],
)
def test_where_a_new_cloud_goes(tmp_path: Path, main: str, others: list[str], stored: str) -> None:
    write(tmp_path, main)
    for each in others:
        write(tmp_path, "", f"mappers/{each}/mapper.toml")
    assert config(tmp_path, "set", "c8y.url", "new.example").exit == 0
    assert "new.example" in (tmp_path / stored).read_text()
    assert (tmp_path / place("c8y")).exists() == (stored == place("c8y"))


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    """A device may keep its settings on another partition."""
    file, target = tmp_path / place("c8y"), tmp_path / "data" / "settings.toml"
    for each in (file, target):
        each.parent.mkdir(parents=True)
    target.write_text('url = "a.example"\n')
    file.symlink_to(target)
    assert config(tmp_path, "set", "c8y.url", "b.example").exit == 0
    assert target.read_text() == 'cloud_type = "c8y"\nurl = "b.example"\n'
    assert config(tmp_path, "unset", "c8y.url").exit == 0
    assert file.is_symlink()
    assert not target.exists()
    assert config(tmp_path, "list", "c8y.url").stdout == ""
