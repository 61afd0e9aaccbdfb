# SPDX-License-Identifier: Apache-2.0
"""What is remembered of the endpoint that gives tokens for client certificates: until the next boot, or for a while.

Where packets to it are dropped, each try costs a time-out, so silence is remembered too; but for an hour only, as a
tenant or a network may be slow for once.
"""

import time

from tedge_cert import journal
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError

OFFERED, NOT_OFFERED = "offered", "not offered"
SILENCE_S = 3600
_SILENT = "silent until"
_FACT_BYTES = 1000


def recall(instance: Instance, url: str) -> str:
    """What is known of ``url``; empty if nothing is."""
    try:
        said = files.read_regular(instance.access_token_file, _FACT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    fact, _, of = said.partition(": ")
    return fact if of == url else ""


def is_to_be_asked(instance: Instance, url: str) -> bool:
    """Whether it may be there, and was not silent a while ago."""
    fact = recall(instance, url)
    if _silent_s(fact):
        journal.debug(f"{url} is not asked: it did not answer in time, and is left alone for {_silent_s(fact)} s more")
        return False
    return fact != NOT_OFFERED


def keep(instance: Instance, url: str, fact: str) -> None:
    """Remember ``fact``; what cannot be written is found out again."""
    if fact == recall(instance, url):
        return
    try:
        files.write(instance.access_token_file, f"{fact}: {url}".encode(), files.HANDOVER)
    except TedgeCertError as error:
        journal.debug(f"not remembered: {error}")


def keep_silence(instance: Instance, url: str) -> None:
    """Remember that there was no answer in time."""
    # The same clock for every process until the next boot, which empties /run (clock_gettime(2)).
    keep(instance, url, f"{_SILENT} {int(time.monotonic()) + SILENCE_S}")


def _silent_s(fact: str) -> int:
    """For how many seconds more it is left alone; an end further away than any that is written is none."""
    words, _, end = fact.rpartition(" ")
    left_s = int(end) - int(time.monotonic()) if words == _SILENT and end.isdecimal() else 0
    return left_s if 0 < left_s <= SILENCE_S else 0
