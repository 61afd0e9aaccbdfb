# SPDX-License-Identifier: Apache-2.0
"""Cumulocity's REST interface, asked as the device."""

from collections.abc import Callable
from dataclasses import replace

from tedge_cert import journal
from tedge_cert.config.credentials import Credentials
from tedge_cert.deadline import Deadline
from tedge_cert.errors import NoAnswerError
from tedge_cert.net import https, server_clock
from tedge_cert.net.authorization import authorization, is_token
from tedge_cert.net.https import HttpAnswer, Limits, Request, Sink, WrongServerError
from tedge_cert.net.server import Server

# The tenant answers this without credentials.
OPEN_PATH = "/tenant/loginOptions"


def as_device(
    server: Server,
    request: Request,
    get_credential: Callable[[bool], str | Credentials],
    limits: Limits | None = None,
    sink: Sink | None = None,
) -> HttpAnswer:
    """Send ``request`` with the device's token, or user and password, and return the answer with any status.

    A token that is refused (401) is replaced once, because it may have been revoked meanwhile; ``get_credential``
    is then called with True. All of it takes ``limits.whole_s`` at most. Raises NoAnswerError.
    """
    deadline = Deadline(limits.whole_s) if limits else None
    for is_second in (False, True):
        who = get_credential(is_second)
        if isinstance(who, str) and not is_token(who):
            # The HTTP library would refuse such a header, and print the token.
            raise NoAnswerError(f"the token for {server.host} is malformed; ask again")
        named = replace(request, headers={**request.headers, **authorization(who)})
        left = replace(limits, whole_s=deadline.left_s()) if limits and deadline else None
        answer = https.ask(server, named, left, sink=sink)
        if answer.status != 401 or is_second or isinstance(who, Credentials):
            break
        journal.info(f"{server.host} refused the token (401): asking again with a new one")
    return answer


def time_of(server: Server, request: Request | None = None) -> float | None:
    """Ask a server for its time, in seconds since the epoch; None if there is no answer. No credential is sent.

    ``request`` is one that the server answers without; by default one for a tenant.

    Raises WrongServerError where another attempt would not be answered either.
    """
    try:
        answer = https.ask(server, request or Request("GET", OPEN_PATH), compares_clock=False)
    except WrongServerError:
        raise
    except NoAnswerError as error:
        journal.debug(f"the time of {server.host} is not known: {error}")
        return None
    return server_clock.time_of(answer.headers)
