# SPDX-License-Identifier: Apache-2.0
"""SmartREST 2.0: messages for the tenant, and questions that are answered through the bridge."""

from collections.abc import Callable

from tedge_cert import journal
from tedge_cert.bridge.health import Bridge
from tedge_cert.errors import NoAnswerError
from tedge_cert.net.authorization import is_token

ATTEMPTS = 2
TOKEN_WAIT_S = 10.0
# Topics of a request for a token, of the answer, of all other messages, and of their answers.
TOKEN_WANTED, TOKEN_GIVEN, MESSAGES, ANSWERS = "s/uat", "s/dat", "s/us", "s/ds"
# Static templates: create the device, ask for its own id, raise an alarm, clear it, send an event, and two answers.
CREATE, OWN_ID, ALARM_MAJOR, ALARM_CLEARED, EVENT = "100", "123", "302", "306", "400"
_TOKEN_ANSWER, _OWN_ID_ANSWER = "71,", "124,"
# A message may have 16 KiB in all; what a person reads in a list is much shorter.
_MOST_CHARACTERS = 1000


def token_through(bridge: Bridge) -> str:
    """Ask for a token through the bridge; raises NoAnswerError or OSError."""
    return _answer_through(bridge, TOKEN_WANTED, "", TOKEN_GIVEN, token_in, "token")


def own_id_through(bridge: Bridge) -> str:
    """Ask through the bridge what the tenant calls this device; raises NoAnswerError or OSError."""
    return _answer_through(
        bridge, MESSAGES, OWN_ID, ANSWERS, lambda text: _value(text, _OWN_ID_ANSWER), "answer with the device's own id"
    )


def _answer_through(
    bridge: Bridge, topic: str, payload: str, answer_topic: str, accept: Callable[[str], str], wanted: str
) -> str:
    found = bridge.ask(topic, payload, answer_topic, accept, ATTEMPTS, TOKEN_WAIT_S)
    if not found:
        raise NoAnswerError(
            f"no {wanted} came through the bridge within {ATTEMPTS * TOKEN_WAIT_S:g} s of asking on "
            f"{bridge.broker.prefix}/{topic}"
        )
    return found


def token_in(text: str) -> str:
    """Return the token in a message of the tenant; empty if there is none that can be sent."""
    token = _value(text, _TOKEN_ANSWER)
    return token if is_token(token) else ""


def _value(text: str, template: str) -> str:
    return text.removeprefix(template).strip() if text.startswith(template) else ""


def message(template: str, *values: str) -> str:
    """Return a message of one line, for values with any characters."""
    return ",".join([template, *map(_field, values)])


def _field(value: str) -> str:
    """Return a value in quotes where it needs them; control characters and line breaks become blanks."""
    text = journal.printable(value)[:_MOST_CHARACTERS]
    if any(each in text for each in ',"') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text
