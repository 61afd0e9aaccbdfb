# SPDX-License-Identifier: Apache-2.0
"""`tedge http`: which addresses are refused, what is sent, and what is printed."""

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.cli.arguments import Parser
from tedge_cert.commands import http
from tedge_cert.errors import TedgeCertError
from tedge_cert.tenant import token
from unit.children import run
from unit.connected import certify, connect
from unit.local_device import LocalDevice


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/c8y/tenant/currentTenant", "/tenant/currentTenant"),
        ("/c8y/inventory/managedObjects?text=a%2Fb&x=.js", "/inventory/managedObjects?text=a%2Fb&x=.js"),
        ("/c8y/a%20b/%c3%a4", "/a%20b/%c3%a4"),
        ("/c8y", "/"),
        ("/c8y/", "/"),
        ("/c8y/myapps/x", "/myapps/x"),
        ("/c8y?a=b", "/?a=b"),
    ],
)
def test_the_path_within_the_tenant(uri: str, path: str) -> None:
    assert http.path_of(uri) == path


@pytest.mark.parametrize(
    "uri",
    ["/c8y/apps/x", "/c8y//apps/x", "/c8y/./apps/x", "/c8y/%61pps/x", "/c8y/a/../apps/x", "/c8y/a.js", "/c8y/a.js?b"],
)
def test_the_user_interface_is_left_alone(uri: str) -> None:
    with pytest.raises(TedgeCertError, match="loses its token"):
        http.path_of(uri)


@pytest.mark.parametrize("uri", ["/te/v1/files/x", "/tedge/x", "tenant/currentTenant", "/c8yx", "https://x/c8y/", ""])
def test_other_addresses_are_not_local(uri: str) -> None:
    with pytest.raises(TedgeCertError, match="not a local HTTP uri"):
        http.path_of(uri)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "get",
        "head /c8y/x",
        "post /c8y/x",
        "post /c8y/x a --data b",
        "put /c8y/x --data a --file b",
        "api",
        "api get",
    ],
)
def test_misuse(tmp_path: Path, words: str) -> None:
    result = run(["tedge-http", *words.split()], tmp_path)
    assert (result.exit, result.stdout) == (2, "")


@pytest.mark.parametrize("option", ["--content-type", "--accept-type"])
@pytest.mark.parametrize("value", ["text/plain\r\nX-Other: 1", "text/plain\n", "a/\x07", "tëxt/plain", " text/plain"])
def test_no_header_comes_in_by_a_type(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("http", "")
    http.add_to(parser)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["post", "/c8y/x", "{}", option, value])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert option in said
    assert "expected a media type such as application/json" in said
    assert "\r" not in said


def test_without_a_tenant(tmp_path: Path) -> None:
    result = run(["tedge-http", "get", "/c8y/x"], tmp_path)
    assert (result.exit, result.stdout) == (1, "")
    assert "tedge config set" in result.stderr


@pytest.mark.parametrize("through_bridge", [True, False])
def test_get(local_device: LocalDevice, through_bridge: bool) -> None:
    certify(local_device)
    if through_bridge:
        connect(local_device)
    result = local_device.run("tedge-http get /c8y/tenant/currentTenant")
    assert result.exit == 0, result.stderr
    assert json.loads(result.stdout)["name"] == "t1"
    assert ("through the bridge" in result.stderr) is through_bridge


@pytest.mark.parametrize("words", ["post", "api post"])
@pytest.mark.parametrize("how", ["", "--data", "--file"])
def test_post_and_put(local_device: LocalDevice, words: str, how: str) -> None:
    certify(local_device)
    content = '{"name":"x"}'
    if how == "--file":
        (local_device.directory / "x.json").write_text(content)
    value = str(local_device.directory / "x.json") if how == "--file" else content
    result = local_device.run(f"tedge-http {words} /c8y/inventory/managedObjects {how} {value}")
    assert result.exit == 0, result.stderr
    made = json.loads(result.stdout)
    assert (made["name"], made["owner"]) == ("x", local_device.device_id)
    changed = local_device.run(f'tedge-http put /c8y/inventory/managedObjects/{made["id"]} {{"name":"y"}}')
    assert json.loads(changed.stdout)["name"] == "y"


def test_a_refusal_of_the_tenant_is_printed(local_device: LocalDevice) -> None:
    certify(local_device)
    result = local_device.run("tedge-http get /c8y/nosuch")
    assert (result.exit, result.stdout) == (1, "")
    assert "https://127.0.0.1:" in result.stderr
    assert "answered 404 Not Found" in result.stderr
    assert "/nosuch" in result.stderr.partition("404")[2]


def test_a_missing_file_is_named(local_device: LocalDevice) -> None:
    certify(local_device)
    result = local_device.run("tedge-http put /c8y/x --file /nosuch/file")
    assert (result.exit, result.stdout) == (1, "")
    assert "cannot read /nosuch/file: No such file" in result.stderr


@pytest.mark.parametrize("times", [1, 2])
def test_a_token_that_is_refused_is_replaced_once(
    local_device: LocalDevice, mocker: MockerFixture, capfdbinary: pytest.CaptureFixture[bytes], times: int
) -> None:
    certify(local_device)
    tokens: list[str] = []

    def request_token(tenant: Any, broker: Any, again: bool = False) -> str:
        tokens.append("nobodys" if len(tokens) < times else token.request_token_directly(tenant))
        return tokens[-1]

    mocker.patch.object(token, "request_token", request_token)
    mocker.patch.dict("os.environ", TEDGE_CONFIG_DIR=str(local_device.directory))
    parser = Parser("test")
    http.add_to(parser)
    arguments = parser.parse_args(["get", "/c8y/tenant/currentTenant"])
    if times == 1:
        assert http.execute(arguments) == 0
        assert json.loads(capfdbinary.readouterr().out)["name"] == "t1"
    else:
        with pytest.raises(TedgeCertError, match="401"):
            http.execute(arguments)
        assert capfdbinary.readouterr().out == b""
    assert len(tokens) == 2
