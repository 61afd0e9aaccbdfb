# SPDX-License-Identifier: Apache-2.0
"""The table of keys agrees with itself."""

from collections.abc import Callable, Iterable

import pytest

from tedge_cert.config.keys import HERE, HOURLY
from tedge_cert.config.keys.table import KEYS, OLD_NAMES, listed
from tedge_cert.config.values import to_text


def wrong(check: Callable[[str], object], names: Iterable[str] = KEYS) -> dict[str, str]:
    """Return what is wrong with each key that fails a check."""
    found = {}
    for name in names:
        try:
            check(name)
        except (AssertionError, ValueError, pytest.fail.Exception) as error:
            found[name] = repr(error)
    return found


def test_every_example_and_default_is_a_value() -> None:
    def check(name: str) -> None:
        key = KEYS[name]
        key.parse(key.example)
        if isinstance(key.default, str) and key.default.startswith(HERE):
            key.parse(str(key.default_in("/etc/tedge")))
        elif key.default is not None:
            text = ",".join(key.default) if isinstance(key.default, list) else to_text(key.default)
            assert key.parse(text) == key.default

    assert wrong(check) == {}


def test_every_key_is_documented() -> None:
    ends = (".", "requested", "scheduled")
    assert [name for name, key in KEYS.items() if not key.doc.strip().endswith(ends)] == []


def followed(name: str) -> set[str]:
    return {name}.union(*(followed(each) for each in KEYS[name].follows))


def test_what_a_key_follows_exists_and_is_no_circle() -> None:
    def check(name: str) -> None:
        assert name not in set().union(*(followed(each) for each in KEYS[name].follows))
        assert KEYS[name].default is None

    following = [name for name, key in KEYS.items() if key.follows]
    assert len(following) >= 10
    assert wrong(check, following) == {}


def test_what_the_hourly_check_reads_is_in_the_table() -> None:
    assert {name: KEYS[name] for name in HOURLY} == HOURLY


def test_an_old_name_is_no_present_one() -> None:
    assert not set(OLD_NAMES) & set(KEYS)
    assert set(OLD_NAMES.values()) <= set(KEYS)


def test_plain_keys_are_listed_before_groups() -> None:
    assert listed(["a.g.x", "a.b", "z.y", "a.g.h.i", "a.c", "a.g.j"]) == [
        "a.b",
        "a.c",
        "a.g.x",
        "a.g.j",
        "a.g.h.i",
        "z.y",
    ]
    assert sorted(listed(KEYS)) == sorted(KEYS)


@pytest.mark.parametrize("text", ["x\nlistener 1", "x\rx", "\x1b[31m", "/a\0b"])
def test_no_value_holds_a_line_break(text: str) -> None:
    def check(name: str) -> None:
        with pytest.raises(ValueError, match="expected"):
            KEYS[name].parse(text)

    assert wrong(check) == {}


def test_what_is_wrong_is_named_with_its_key() -> None:
    def check(name: str) -> None:
        assert name != "c8y.url"
        with pytest.raises(ValueError, match="expected"):
            int("5" if name == "c8y.http" else "no number, as was expected")

    assert set(wrong(check)) == {"c8y.url", "c8y.http"}


@pytest.mark.parametrize(
    ("name", "start"),
    [
        (
            "certificate.validity.requested_duration",
            "Requested validity duration for a new certificate. \nNote: The CA",
        ),
        ("certificate.validity.minimum_duration", "Minimum validity duration below which a new certificate should be"),
        ("certificate.organization", "Organization name used for certificate signing requests."),
        ("certificate.organization_unit", "Organization unit used for certificate signing requests."),
    ],
)
def test_keeps_the_words_of_the_reference(name: str, start: str) -> None:
    assert KEYS[name].doc.startswith(start)
