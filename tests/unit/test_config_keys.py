# SPDX-License-Identifier: Apache-2.0
"""The table of keys agrees with itself."""

import pytest

from tedge_cert.config_keys import KEYS
from tedge_cert.values import to_text


@pytest.mark.parametrize("name", KEYS)
def test_every_example_and_default_is_a_value(name: str) -> None:
    key = KEYS[name]
    key.parse(key.example)
    if key.default is not None:
        text = ",".join(key.default) if isinstance(key.default, list) else to_text(key.default)
        assert key.parse(text) == key.default


@pytest.mark.parametrize("name", KEYS)
def test_every_key_is_documented(name: str) -> None:
    assert KEYS[name].doc.strip().endswith((".", "requested", "scheduled"))


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.derived])
def test_what_a_key_follows_exists_and_is_no_circle(name: str) -> None:
    seen = [name]
    while (derived := KEYS[seen[-1]].derived) is not None:
        assert derived[0] not in seen
        seen.append(derived[0])
    assert KEYS[name].default is None


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("text", ["x\nlistener 1", "x\rx", "\x1b[31m", "/a\0b"])
def test_no_value_holds_a_line_break(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        KEYS[name].parse(text)


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
