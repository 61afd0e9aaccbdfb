# SPDX-License-Identifier: Apache-2.0
"""Finish an unfinished switch, then use a candidate, when a person connects or reconnects."""

from dataclasses import dataclass

from tedge_cert import journal
from tedge_cert.authority import answer_checks
from tedge_cert.config import auth_method
from tedge_cert.device import state
from tedge_cert.device.instance import Instance
from tedge_cert.errors import CandidateRejectedError, NoAnswerError, TedgeCertError
from tedge_cert.steps import rejection
from tedge_cert.steps.switch import Switch
from tedge_cert.steps.verify import finish, promote_candidate


@dataclass(frozen=True)
class Outcome:
    """What happened to an unfinished switch and to a candidate."""

    # The bridge, if there is one, was seen to connect with the certificate that is active now.
    switched: bool = False
    # There is, or was, a new certificate that is not the active one.
    left_out: bool = False
    # Why a switch could be neither finished nor undone; empty if no switch is unfinished.
    unfinished: str = ""


def switch_first(instance: Instance, offline: bool) -> Outcome:
    """Finish or undo an unfinished switch, then use a candidate; call it under the lock.

    It ends the back-off of the unit. A rejected candidate stays where it is: the person may want to look at it.
    """
    if auth_method.is_basic(instance.config):
        # The device shows the tenant no certificate, so there is nothing to prove.
        return Outcome()
    rejection.forget(instance)
    state.end_pause(instance.state_file)
    try:
        return _switch(instance, Switch.of(instance), offline)
    finally:
        # With a record of the rejection, the unit's clean-up would remove the candidate.
        rejection.forget(instance)


def _switch(instance: Instance, switch: Switch, offline: bool) -> Outcome:
    switch.settle()
    first = Outcome()
    if switch.is_unfinished and not offline:
        first = _finish(instance, switch)
    if first.unfinished or not switch.has_candidate or _was_rejected(instance, switch):
        return first
    if offline:
        journal.info(f"offline: the new certificate {switch.candidate} is not proved and not used")
        return Outcome(left_out=True)
    try:
        promote_candidate(instance, switch)
    except TedgeCertError as error:
        journal.warning(f"{error}; going on with {switch.certificate}")
        return Outcome(first.switched, left_out=True)
    return Outcome(switched=True)


def _finish(instance: Instance, switch: Switch) -> Outcome:
    try:
        finish(instance, switch)
    except NoAnswerError as error:
        journal.warning(str(error))
        return Outcome(unfinished=str(error))
    except CandidateRejectedError as error:
        journal.warning(str(error))
        return Outcome(switched=True, left_out=True)
    except TedgeCertError as error:
        journal.warning(str(error))
        return Outcome()
    return Outcome(switched=True)


def _was_rejected(instance: Instance, switch: Switch) -> bool:
    """Return whether the candidate is the certificate that was just undone."""
    try:
        return rejection.is_recorded(instance, answer_checks.read_candidate(switch.candidate))
    except TedgeCertError:
        return False
