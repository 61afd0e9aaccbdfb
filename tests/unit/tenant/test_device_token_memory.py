# SPDX-License-Identifier: Apache-2.0
"""What is remembered of the endpoint for client certificates, above all its silence."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.device.instance import Instance
from tedge_cert.net.anchors import Trust
from tedge_cert.net.server import Server
from tedge_cert.tenant import device_token
from tedge_cert.tenant.device_token import TokenEndpoint
from tedge_cert.tenant.token import endpoint_of
from unit.connected import certify, hurry, instance_of
from unit.local_device import LocalDevice

pytestmark = pytest.mark.usefixtures("_no_alarm")


@pytest.fixture
def black_hole() -> Iterator[tuple[str, int]]:
    """A listener that takes nobody any more: the kernel drops what comes while its queue is full (listen(2))."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        while True:
            queued = stack.enter_context(socket.socket())
            queued.settimeout(0.5)
            try:
                queued.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()


def test_a_port_that_drops_packets_costs_its_time_once(
    local_device: LocalDevice, mocker: MockerFixture, black_hole: tuple[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    hurry(mocker, CONNECT_S=1.0)
    certify(local_device)
    mocker.patch.object(Instance, "access_token_endpoint", black_hole)
    endpoint = endpoint_of(instance_of(local_device))
    spent: list[float] = []
    for _ in range(3):
        began_s = time.monotonic()
        assert device_token.request(endpoint) is None
        assert device_token.prove(endpoint, local_device.certificate) is None
        spent.append(time.monotonic() - began_s)
    assert spent[0] >= 1.0
    assert max(spent[1:]) < 0.2
    assert capsys.readouterr().err.count("no token: no answer from") == 1


def at(file: Path, host: str = "t1.example:8443") -> TokenEndpoint:
    """An endpoint of which no more than the memory is used."""
    return TokenEndpoint(Server(host, Trust(file, "x"), "x"), file, file, file)


def test_silence_is_forgotten_after_a_while(tmp_path: Path, mocker: MockerFixture) -> None:
    now = mocker.patch.object(time, "monotonic", return_value=1000.0)
    endpoint, other = at(tmp_path / "memory"), at(tmp_path / "memory", "another.example:8443")
    device_token.keep_silence(endpoint)
    assert not device_token.may_be_asked(endpoint)
    assert device_token.may_be_asked(other)
    now.return_value += device_token.SILENCE_S - 1
    assert not device_token.may_be_asked(endpoint)
    now.return_value += 1
    assert device_token.may_be_asked(endpoint)


@pytest.mark.parametrize("fact", ["silent until 99999999999", "silent until soon", "silent", "", "offered"])
def test_what_was_never_written_silences_nobody(tmp_path: Path, fact: str) -> None:
    endpoint = at(tmp_path / "memory")
    device_token.keep(endpoint, fact)
    assert device_token.may_be_asked(endpoint)
    device_token.keep(endpoint, device_token.NOT_OFFERED)
    assert not device_token.may_be_asked(endpoint)
