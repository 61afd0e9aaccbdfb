# SPDX-License-Identifier: Apache-2.0
"""What the HTTP library brings along and no request needs: the anchors of the system, and guesses of encodings."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from urllib3.connectionpool import HTTPSConnectionPool

from tedge_cert.net import https
from tedge_cert.net.proxy import Proxy
from unit.answering import answering
from unit.children import run
from unit.connect_proxy import ConnectProxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ASK = """
import sys
from pathlib import Path
import certifi
# Where Debian's certifi says that the bundle is.
certifi.where = lambda: sys.argv[1]
from tedge_cert.net import https
from tedge_cert.net.anchors import Trust
from tedge_cert.net.server import Server
server = Server(f"localhost:{sys.argv[2]}", Trust(Path(sys.argv[3]), "c8y.root_cert_path"), "c8y.http")
print(https.ask(server, https.Request("GET", "/")).status)
from urllib3.util import ssl_
print(ssl_.create_urllib3_context().verify_mode.name)
"""


@pytest.mark.parametrize("bundle", ["missing", "empty"])
def test_the_default_bundle_is_not_needed(tmp_path: Path, bundle: str) -> None:
    path = tmp_path / "bundle.crt"
    if bundle == "empty":
        path.touch()
    with answering(tmp_path, OK) as server:
        result = run([str(path), str(server.port), str(server.trust)], text=ASK)
    assert (result.exit, result.stdout.split()) == (0, ["200", "CERT_REQUIRED"]), result.stderr


@pytest.mark.parametrize("way", ["direct", "by proxy"])
def test_no_anchors_are_added_to_those_of_the_server(tmp_path: Path, mocker: MockerFixture, way: str) -> None:
    """Debian 12's library names the system's bundle as a default; what is missing would be an error of the request."""
    init = HTTPSConnectionPool.__init__
    names = [name for name, each in inspect.signature(init).parameters.items() if each.default is not each.empty]
    defaults = [str(tmp_path / "bundle.crt") if name == "ca_certs" else None for name in names]
    given = [own if added is None else added for own, added in zip(init.__defaults__ or (), defaults, strict=True)]
    mocker.patch.object(init, "__defaults__", tuple(given))
    with answering(tmp_path, OK) as server, ConnectProxy() as between:
        proxy = Proxy(between.address, {}) if way == "by proxy" else None
        asked = https.ask(replace(server.by_https, proxy=proxy), https.Request("GET", "/"))
    assert asked.status == 200
    assert len(between.tunnels) == (way == "by proxy")


def test_nothing_that_guesses_encodings_is_loaded() -> None:
    result = run([], text="import sys\nfrom tedge_cert.net import http_library\nprint(*sys.modules, sep='\\n')")
    loaded = result.stdout.split()
    assert "requests.models" in loaded, result.stderr
    assert not [each for each in loaded if each.startswith(("chardet", "charset_normalizer"))]
    assert not result.stderr
