# SPDX-License-Identifier: Apache-2.0
"""A look-up without an answer counts against the bound of the whole; answers are passed on unchanged."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tedge_cert.net.mqtt import Connection
from tedge_cert.net.resolver import reaching

pytestmark = pytest.mark.usefixtures("_no_alarm")
NAME = "tenant.example"


@pytest.fixture
def silence(mocker: MockerFixture) -> Iterator[None]:
    """No name server answers."""
    over = threading.Event()
    mocker.patch("tedge_cert.net.resolver._getaddrinfo", side_effect=lambda *_a, **_o: over.wait(60))
    yield
    over.set()


def took_s(action: Callable[[], object]) -> float:
    begins_s = time.monotonic()
    action()
    return time.monotonic() - begins_s


@pytest.mark.usefixtures("silence")
def test_silent_name_servers_do_not_prolong_the_whole() -> None:
    def reach() -> None:
        with pytest.raises(TimeoutError, match=r"^the request took longer than 0\.1 s$"), reaching(0.1, "the request"):
            socket.create_connection((NAME, 443))

    assert took_s(reach) < 10
    assert socket.getaddrinfo.__module__ == "socket"


@pytest.mark.usefixtures("silence")
def test_silent_name_servers_do_not_prolong_an_mqtt_connection() -> None:
    def reach() -> None:
        with pytest.raises(TimeoutError, match=f"connecting to {NAME}:8883 took longer"):
            Connection((NAME, 8883), "device", 0.1)

    assert took_s(reach) < 10


def test_every_address_is_tried_and_the_bound_is_no_failure_of_one(mocker: MockerFixture) -> None:
    """Some libraries go on to the next address after any OSError, and the timer rings once."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, contextlib.ExitStack() as stack:
        endpoint = silent.getsockname()
        for _ in range(2):
            # The queue is full: further clients get no answer.
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(endpoint)
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", endpoint)
        mocker.patch("tedge_cert.net.resolver._getaddrinfo", return_value=[entry] * 8)

        def reach() -> None:
            with pytest.raises(TimeoutError, match=r"took longer than 0\.5 s"), reaching(0.5, "the request"):
                socket.create_connection((NAME, 443), 20)

        assert took_s(reach) < 10


def test_the_address_that_listens_is_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, reaching(10, "the request"):
        port = server.getsockname()[1]
        # localhost may be ::1 first, which has no listener.
        socket.create_connection(("localhost", port)).close()


@pytest.mark.parametrize(
    "name", [pytest.param("nowhere.invalid", id="unknown"), pytest.param("a..b", id="no name at all")]
)
def test_what_the_look_up_raises_comes_through(name: str) -> None:
    def kind(action: Callable[[], Any]) -> tuple[type[BaseException], str]:
        with pytest.raises((OSError, UnicodeError)) as caught:
            action()
        return caught.type, str(caught.value)

    def bounded_look_up() -> None:
        with reaching(30, "the request"):
            socket.getaddrinfo(name, 443)

    assert kind(bounded_look_up) == kind(lambda: socket.getaddrinfo(name, 443))


def test_a_literal_of_ipv6_is_one() -> None:
    with reaching(10, "the request"):
        found = socket.getaddrinfo("::1", 8443, type=socket.SOCK_STREAM)
    assert [each[4][:2] for each in found] == [("::1", 8443)]
