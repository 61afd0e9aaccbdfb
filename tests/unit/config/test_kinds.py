# SPDX-License-Identifier: Apache-2.0
"""The types of values that only `tedge config` checks."""

from collections.abc import Callable

import pytest

from tedge_cert.config import values
from tedge_cert.config.keys import kinds
from tedge_cert.config.values import Value


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.one_of("off", "on"), "on", "on"),
        (values.parse_auth_method, "auto", "auto"),
        (values.parse_auth_method, "password", "basic"),
        (kinds.parse_count, "0", 0),
        (kinds.parse_count, "4294967295", 4_294_967_295),
        (kinds.parse_payload_size, "268435455", 268_435_455),
        (kinds.parse_broker_port, "1", 1),
        (kinds.parse_prefix, "c8y/one", "c8y/one"),
        (kinds.parse_topic_id, "device/main//", "device/main//"),
        (kinds.parse_topic_id, "a/b/c/d", "a/b/c/d"),
        (kinds.parse_proxy, "proxy.example", "http://proxy.example:80"),
        (kinds.parse_proxy, "proxy.example:3128", "http://proxy.example:3128"),
        (kinds.parse_proxy, "https://proxy.example/", "https://proxy.example:443"),
        (kinds.parse_proxy, "http://[::1]:8080", "http://[::1]:8080"),
        (kinds.parse_proxy, "http://proxy.example.:0", "http://proxy.example:0"),
        (kinds.parse_est_url, "est.example", "https://est.example/.well-known/est"),
        (kinds.parse_est_url, "https://est.example:443/", "https://est.example/.well-known/est"),
        (kinds.parse_est_url, "https://[::1]:8443", "https://[::1]:8443/.well-known/est"),
        (
            kinds.parse_est_url,
            "https://est.example/.well-known/est/a/b/c/",
            "https://est.example/.well-known/est/a/b/c",
        ),
        (kinds.parse_username, "sensor-1", "sensor-1"),
    ],
)
def test_takes(parse: Callable[[str], Value], text: str, value: Value) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (values.one_of("off", "on"), "in", "expected one of off, on"),
        (values.parse_auth_method, "magic", "certificate, basic, auto"),
        (kinds.parse_count, "-1", "whole number"),
        (kinds.parse_count, "4294967296", "whole number"),
        (kinds.parse_count, "\u0663", "whole number"),
        (kinds.parse_payload_size, "268435456", "from 1 to 268435455"),
        (kinds.parse_payload_size, "0", "from 1 to 268435455"),
        (kinds.parse_broker_port, "0", "from 1 to 65535"),
        (kinds.parse_broker_port, "65536", "port number"),
        (kinds.parse_prefix, "", "without the wildcards"),
        (kinds.parse_prefix, "c8y/#", "without the wildcards"),
        (kinds.parse_prefix, "c8y-internal", "another prefix"),
        (kinds.parse_topic_id, "device/main", "four levels"),
        (kinds.parse_topic_id, "///", "four levels"),
        (kinds.parse_topic_id, "device/+//", "four levels"),
        (kinds.parse_proxy, "", "such as http://"),
        (kinds.parse_proxy, "socks5://proxy.example", "such as http://"),
        (kinds.parse_proxy, "http://me@proxy.example", "proxy.username"),
        (kinds.parse_proxy, "http://proxy.example:many", "such as http://"),
        (kinds.parse_proxy, "http://pro xy", "host name"),
        (kinds.parse_proxy, "http://[::1", "such as http://"),
        (kinds.parse_est_url, "http://est.example/.well-known/est", "begins with https://"),
        (kinds.parse_est_url, "https://me:secret@est.example", "est.username"),
        (kinds.parse_est_url, "https://est.example/.well-known/est/simpleenroll", "leave out /simpleenroll"),
        (kinds.parse_est_url, "https://est.example/.well-known/est/cacerts/", "ends in /.well-known/est"),
        (kinds.parse_est_url, "https://est.example/est?x=1", "no ?"),
        (kinds.parse_est_url, "https://est.example/est#x", "no #"),
        (kinds.parse_est_url, "https:///est", "such as https://"),
        (kinds.parse_est_url, "https://est.example:many", "such as https://"),
        (kinds.parse_est_url, "https://est.example/a b", "blanks"),
        (kinds.parse_username, "a:b", "without a colon"),
    ],
)
def test_refuses(parse: Callable[[str], Value], text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)
