# SPDX-License-Identifier: Apache-2.0
"""The layout of thin-edge 2.x: the settings of each cloud profile in a file of their own, read and written."""

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
    said = (
        f"{tmp_path}/tedge.toml has one, which is not read; set one up with `sudo tedge config set {cloud}.url <host>"
    )
    assert said in refused.stderr
    settings = configuration.load(str(tmp_path))
    assert settings.get(f"{cloud}.url") == (None if moved else "new.example")
    assert settings.profiles(cloud) == ([moved] if moved else [])


def test_a_value_that_is_not_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, 'c8y.url = "a.example"\n')
    write(tmp_path, 'url = "p.example"\n', place("c8y", "p"))
    with pytest.raises(
        ConfigurationError, match=r"tedge.toml is not read; `sudo tedge config set c8y.url <value>` writes"
    ):
        configuration.load(str(tmp_path)).need("c8y.url")


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
