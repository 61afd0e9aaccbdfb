# SPDX-License-Identifier: Apache-2.0
"""The memory of the endpoint for client certificates, mainly of its silence."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert.device.connection_settings import tenant_of
from tedge_cert.device.connections import Tenant
from tedge_cert.net.anchors import Trust
from tedge_cert.net.server import Server
from tedge_cert.tenant import device_token
from unit.connected import certify, hurry, instance_of
from unit.local_device import LocalDevice

pytestmark = pytest.mark.usefixtures("_no_alarm")


@pytest.fixture
def black_hole() -> Iterator[tuple[str, int]]:
    """A listener that accepts no more clients: the kernel drops connections while its queue is full (listen(2))."""
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
    tenant = tenant_of(instance_of(local_device))
    host, port = black_hole
    tenant = replace(tenant, token_server=replace(tenant.token_server, host=f"{host}:{port}"))
    spent: list[float] = []
    for _ in range(3):
        began_s = time.monotonic()
        assert device_token.request(tenant) is None
        assert device_token.prove(tenant, local_device.certificate) is None
        spent.append(time.monotonic() - began_s)
    assert spent[0] >= 1.0
    assert max(spent[1:]) < 0.2
    assert capsys.readouterr().err.count("no token: no answer from") == 1


def at(file: Path, host: str = "t1.example:8443") -> Tenant:
    """A tenant; only the memory of its endpoint for tokens is used."""
    trust = Trust(file, "x")
    return Tenant(
        "t1.example",
        trust,
        "x",
        mqtt=("t1.example", 8883),
        token_server=Server(host, trust, "x"),
        token_memory=file,
        device_id="d",
        device_type="t",
        certificate=file,
        key=file,
    )


def test_silence_is_forgotten_after_a_while(tmp_path: Path, mocker: MockerFixture) -> None:
    now = mocker.patch.object(time, "monotonic", return_value=1000.0)
    tenant, other = at(tmp_path / "memory"), at(tmp_path / "memory", "another.example:8443")
    device_token.keep_silence(tenant)
    assert not device_token.may_be_asked(tenant)
    assert device_token.may_be_asked(other)
    now.return_value += device_token.SILENCE_S - 1
    assert not device_token.may_be_asked(tenant)
    now.return_value += 1
    assert device_token.may_be_asked(tenant)


@pytest.mark.parametrize("fact", ["silent until 99999999999", "silent until soon", "silent", "", "offered"])
def test_a_fact_that_was_never_written_is_ignored(tmp_path: Path, fact: str) -> None:
    tenant = at(tmp_path / "memory")
    device_token.keep(tenant, fact)
    assert device_token.may_be_asked(tenant)
    device_token.keep(tenant, device_token.NOT_OFFERED)
    assert not device_token.may_be_asked(tenant)
