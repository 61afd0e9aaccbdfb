# SPDX-License-Identifier: Apache-2.0
"""Several profiles: which are set up, and which values no two of them may share."""

from pathlib import Path

import pytest

from tedge_cert.device import profiles
from tedge_cert.device.instance import Instance, load_instance
from tedge_cert.errors import ConfigurationError
from unit.certificates import make_for


def instance(directory: Path, text: str, profile: str = "") -> Instance:
    for name in ("one", "two"):
        (directory / f"{name}.pem").write_bytes(make_for(100, name=name).pem)
    (directory / "tedge.toml").write_text(text.format(here=directory))
    return load_instance("c8y", profile, str(directory))


DEFAULT = '[device]\ncert_path = "{here}/one.pem"\n[c8y]\nurl = "one.example"\n'
SECOND = '[c8y.profiles.p]\nurl = "two.example"\n'
OWN = 'bridge.topic_prefix = "p"\nproxy.bind.port = 8002\n'


@pytest.mark.parametrize("profile", ["", "p"])
def test_two_that_share_nothing_go_together(tmp_path: Path, profile: str) -> None:
    profiles.check_conflicts(instance(tmp_path, DEFAULT + SECOND + OWN, profile))


@pytest.mark.parametrize("profile", ["", "p"])
@pytest.mark.parametrize(
    ("second", "said", "cure"),
    [
        (
            '[c8y.profiles.p]\nurl = "one.example"\n' + OWN,
            "are both one at one.example:8883 (c8y.url",
            "tedge config set c8y.device.cert_path <file> --profile p",
        ),
        (
            SECOND + "proxy.bind.port = 8002\n",
            "c8y.bridge.topic_prefix and c8y.profiles.p.bridge.topic_prefix are both c8y,",
            "tedge config set c8y.bridge.topic_prefix c8y-p --profile p",
        ),
        (
            SECOND + 'bridge.topic_prefix = "p"\n',
            "c8y.proxy.bind.port and c8y.profiles.p.proxy.bind.port are both 8001,",
            "tedge config set c8y.proxy.bind.port 8002 --profile p",
        ),
    ],
)
def test_two_that_share_are_refused(tmp_path: Path, profile: str, second: str, said: str, cure: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        profiles.check_conflicts(instance(tmp_path, DEFAULT + second, profile))
    assert said in str(error.value)
    assert cure in str(error.value)
    assert "the default profile" in str(error.value)
    assert "the profile 'p'" in str(error.value)


@pytest.mark.parametrize(
    "second",
    [
        # Another device id at the same tenant, another tenant for the same id, and one that is not registered yet.
        '[c8y.profiles.p]\nurl = "one.example"\ndevice.cert_path = "{here}/two.pem"\n' + OWN,
        SECOND + OWN,
        '[c8y.profiles.p]\nurl = "one.example"\ndevice.cert_path = "{here}/none.pem"\n' + OWN,
        # A table without a tenant is no profile that can be connected.
        '[c8y.profiles.p]\ndevice.id = "x"\n',
    ],
)
def test_what_only_looks_like_it_is_taken(tmp_path: Path, second: str) -> None:
    profiles.check_conflicts(instance(tmp_path, DEFAULT + second))


def test_a_profile_with_a_file_of_its_own_counts(tmp_path: Path) -> None:
    """As thin-edge 2.x keeps it."""
    for name, url in (("c8y", "one"), ("c8y.q", "three")):
        (tmp_path / "mappers" / name).mkdir(parents=True)
        (tmp_path / "mappers" / name / "mapper.toml").write_text(f'url = "{url}.example"\n')
    found = instance(tmp_path, DEFAULT + SECOND + OWN)
    assert [each.name for each in profiles.others(found)] == ["c8y@q"]
    with pytest.raises(ConfigurationError, match="the profile 'q'"):
        profiles.check_conflicts(found)
