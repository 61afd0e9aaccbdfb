# SPDX-License-Identifier: Apache-2.0
"""The default trust anchors of the system, which no request needs."""

from pathlib import Path

import pytest

from unit.answering import answering
from unit.children import run

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
    with answering(tmp_path, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as server:
        result = run([str(path), str(server.port), str(server.trust)], text=ASK)
    assert (result.exit, result.stdout.split()) == (0, ["200", "CERT_REQUIRED"]), result.stderr
