# SPDX-License-Identifier: Apache-2.0
"""The types of configuration values, and the texts that they refuse."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.config import values
from tedge_cert.config.keys import kinds
from tedge_cert.config.values import Value
from tedge_cert.durations import duration_s, format_duration

PARSERS = [each for name, each in vars(values).items() if name.startswith("parse_")]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0", 0), ("0s", 0), ("30d", 30 * 86_400), ("45days", 45 * 86_400), ("1h 30m", 5400), ("1h30m", 5400),
     ("2 weeks", 1_209_600), (" 5 min ", 300), ("1M", 2_630_016), ("1m", 60), ("1y", 31_557_600),
     ("1year 2months 3w 4d 5hr 6mins 7secs", 31_557_600 + 5_260_032 + 3 * 604_800 + 4 * 86_400 + 18_367)],
)  # fmt: skip
def test_reads_durations(text: str, seconds: int) -> None:
    assert duration_s(text) == seconds
    assert values.parse_duration(text) == text


@pytest.mark.parametrize("text", ["", " ", "d", "-1d", "1.5d", "1x", "30 d 5", "d30", "1d,2h", "1D"])
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 30d"):
        values.parse_duration(text)


@pytest.mark.parametrize("text", [str(1 << 64), "600000000000y", "9" * 5000])
def test_refuses_a_duration_beyond_64_bits(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a duration of (less than 18446744073709551616 s|at most 200 c)"):
        values.parse_duration(text)
    assert values.parse_duration(str((1 << 64) - 1))


@pytest.mark.parametrize(
    ("text", "address"),
    [("0:0:0:0:0:0:0:1", "::1"), ("::", "::"), ("FE80:0::1", "fe80::1"), ("127.0.0.1", "127.0.0.1")],
)
def test_writes_an_address_in_its_usual_form(text: str, address: str) -> None:
    assert values.parse_ip(text) == address


@pytest.mark.parametrize("text", ["1%", " 99% ", "30d", "90", " 5 min "])
def test_takes_thresholds(text: str) -> None:
    assert values.parse_threshold(text) == text


@pytest.mark.parametrize(
    "text", ["0%", "100%", "20 %", "%", "-1%", "1.5%", "\u00b2%", "9" * 5000 + "%", "", "soon", "1D"]
)
def test_refuses_what_is_no_threshold(text: str) -> None:
    with pytest.raises(ValueError, match=r"a duration such as 30d.*or a percentage of the certificate's lifetime"):
        values.parse_threshold(text)


@given(st.integers(0, 31_536_000 - 1))
def test_a_formatted_duration_means_the_same_again(seconds: int) -> None:
    assert duration_s(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["a", "example.cumulocity.com", "localhost", "10.0.0.1", "::1", "[::1]", "my_host", "t1"]
)
def test_takes_hosts(text: str) -> None:
    assert values.parse_host(text) == text


@pytest.mark.parametrize(
    "text",
    ["", ".", "https://foo.example/", "foo/bar", "a b", "a\nb", "foo.example:443", "-x", ".x", "[::1", "::1]", "[x]",
     "ö.example", "a\0b", "[]"],
)  # fmt: skip
def test_refuses_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"a host name|embedded null"):
        values.parse_host(text)


def test_leaves_out_the_dot_of_a_full_name() -> None:
    assert values.parse_host("tenant.example.") == "tenant.example"
    assert values.parse_endpoint("tenant.example.:443") == "tenant.example:443"
    assert values.parse_endpoint("tenant.example.") == "tenant.example"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.300", "expected an IP address with four numbers up to 255, or a host name"),
        ("10.0.0", "expected an IP address with four numbers"),
        ("https://tenant.example/", "such as example.cumulocity.com; did you mean tenant.example\\?"),
        ("tenant.example/apps", "did you mean tenant.example\\?"),
        ("https://tenant.example.:443/x", "did you mean tenant.example\\?"),
        (" tenant.example", "did you mean tenant.example\\?"),
        ("tenant.example:443", "did you mean tenant.example\\?"),
        ("a b", "such as example.cumulocity.com$"),
        ("a..b", "such as example.cumulocity.com$"),
        ("a" * 64, "such as example.cumulocity.com$"),
    ],
)
def test_says_how_a_host_is_written(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        values.parse_host(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a.example", "a.example", 8883),
        ("a.example:1", "a.example", 1),
        ("[::1]", "[::1]", 8883),
        ("[::1]:1", "[::1]", 1),
    ],
)
def test_takes_endpoints(text: str, host: str, port: int) -> None:
    assert values.parse_endpoint(text) == text
    assert values.split_endpoint(text, 8883) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":1", "a:", "a:b", "a:1:2", "a:70000", "a:-1", "[::1", "[::1]x", "[::1]:", "::1", "https://a:1", "a:1/b"],
)
def test_refuses_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        values.parse_endpoint(text)


@pytest.mark.parametrize(
    ("host", "before_port"), [("::1", "[::1]"), ("[::1]", "[::1]"), ("a", "a"), ("10.0.0.1", "10.0.0.1")]
)
def test_an_address_has_brackets_before_a_port(host: str, before_port: str) -> None:
    assert values.bracketed(host) == before_port


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.parse_text, "", ""),
        (values.parse_path, "/a b", "/a b"),
        (values.parse_port, "65535", 65_535),
        (values.parse_ip, "::", "::"),
        (values.parse_flag, "true", True),
        (values.parse_flag, "false", False),
        (values.parse_list, " a, b,,", ["a", "b"]),
        (values.parse_list, "", []),
        (kinds.parse_topic_prefix, "c8y/one", "c8y/one"),
        (values.parse_device_id, "A-z'=(),.?%*_!@" + "0" * 48, "A-z'=(),.?%*_!@" + "0" * 48),
    ],
)
def test_takes_what_is_of_its_type(parse: Callable[[str], Value], text: str, value: Value) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (values.parse_path, "key.pem", "absolute path"),
        (values.parse_path, "", "absolute path"),
        (values.parse_port, "65536", "0 to 65535"),
        (values.parse_port, "-1", "0 to 65535"),
        (values.parse_port, "", "0 to 65535"),
        (values.parse_ip, "nowhere", "IP address"),
        (values.parse_flag, "maybe", "true or false"),
        (values.parse_flag, "True", "true or false"),
        (kinds.parse_topic_prefix, "", "without the wildcards"),
        (kinds.parse_topic_prefix, "c8y/#", "without the wildcards"),
        (values.parse_device_id, "", "cannot be empty"),
        (values.parse_device_id, "a" * 65, "at most 64 characters, this one 65"),
        (values.parse_device_id, "a:b", "has only the characters"),
        (values.parse_device_id, "a b", "has only the characters"),
        (values.parse_device_id, "a\n", "has only the characters"),
        (values.parse_device_id, "\u00e4", "has only the characters"),
    ],
)
def test_says_what_it_expected(parse: Callable[[str], Value], text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text(max_size=30))
def test_any_text_is_a_value_or_a_value_error(parse: Callable[[str], Value], text: str) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    assert values.to_text(value).strip() or text.strip() in ("", ",")


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (1883, "1883"), ([], "[]"), (["a", "b"], '["a", "b"]'), ("x", "x")],
)
def test_prints_values_as_thin_edge_does(value: Value, text: str) -> None:
    assert values.to_text(value) == text
