# SPDX-License-Identifier: Apache-2.0
"""Bounds on waits."""

import contextlib
import signal
import socket

import pytest
from pytest_mock import MockerFixture

from tedge_cert.deadline import Deadline, bounded

pytestmark = pytest.mark.usefixtures("_no_alarm")


@pytest.mark.parametrize("seconds", [0.05, 0.0, -1.0])
def test_ends_a_wait_that_takes_longer(seconds: float) -> None:
    ours, theirs = socket.socketpair()
    expected = pytest.raises(TimeoutError, match=f"the answer took longer than {seconds:g} s")
    with ours, theirs, expected, bounded(seconds, "the answer"):
        ours.recv(1)


def test_an_alarm_that_is_lost_comes_again() -> None:
    """Raised in a finalizer, an exception is printed and forgotten."""
    ours, theirs = socket.socketpair()

    class Finalized:
        def __del__(self) -> None:
            with contextlib.suppress(BaseException):
                ours.recv(1)

    with ours, theirs, pytest.raises(TimeoutError), bounded(0.05, "the answer"):  # noqa: PT012 (the first is lost)
        Finalized()
        ours.recv(1)


def test_bytes_that_drip_in_do_not_prolong_it() -> None:
    ours, theirs = socket.socketpair()
    count = 0
    with ours, theirs, pytest.raises(TimeoutError), bounded(0.05, "the answer"):  # noqa: PT012 (it never ends)
        while True:
            theirs.send(b"x")
            count += len(ours.recv(1))
    assert count > 1


def test_a_block_within_another_leaves_the_outer_bound() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError, match="the outer"), bounded(0.2, "the outer"):  # noqa: PT012
        with pytest.raises(TimeoutError, match="the inner"), bounded(0.05, "the inner"):
            ours.recv(1)
        ours.recv(1)


def test_an_outer_bound_that_passed_meanwhile_is_not_lost() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError, match="the outer"), bounded(0.05, "the outer"):  # noqa: PT012
        with pytest.raises(TimeoutError, match="the inner"), bounded(0.2, "the inner"):
            ours.recv(1)
        ours.recv(1)


def test_what_is_quick_enough_goes_through() -> None:
    with bounded(60, "nothing"):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0


def test_another_error_comes_through_as_it_is() -> None:
    with pytest.raises(KeyError), bounded(60, "nothing"):
        raise KeyError


def test_a_handler_that_was_there_is_there_again() -> None:
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    try:
        with bounded(60, "nothing"):
            pass
        signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [1]


def test_a_point_in_time_comes_nearer_and_passes(mocker: MockerFixture) -> None:
    clock = mocker.patch("tedge_cert.deadline.time.monotonic", return_value=100.0)
    deadline = Deadline(5)
    assert (deadline.left_s(), deadline.passed()) == (5.0, False)
    clock.return_value = 104.5
    assert (deadline.left_s(), deadline.passed()) == (0.5, False)
    clock.return_value = 105.0
    assert (deadline.left_s(), deadline.passed()) == (0.0, True)
    clock.return_value = 300.0
    assert deadline.left_s() == 0.0
