# SPDX-License-Identifier: Apache-2.0
"""The date of this version, by which the clock is judged."""

from email.utils import parsedate_to_datetime

from tedge_cert.hourly.validity import BUILT_S, SERVICE_S, Validity
from unit.local_device import ROOT


def test_it_is_the_date_of_the_changelog() -> None:
    """A package is never older than its last change, so a right clock is never before that date."""
    date = next(line for line in (ROOT / "debian/changelog").read_text().splitlines() if line.startswith(" -- "))
    assert parsedate_to_datetime(date.partition(">  ")[2]).timestamp() == BUILT_S


def test_the_message_about_a_wrong_clock() -> None:
    validity = Validity(BUILT_S + 100, BUILT_S + 1_000)
    assert validity.clock_fault(BUILT_S - 86_400) == "it is 1d behind the making of this package"
    assert validity.clock_fault(BUILT_S + 40) == "the certificate begins in 1m only"
    assert validity.clock_fault(BUILT_S + 100) == ""
    # Later the certificate has expired; only a clock far ahead is called wrong.
    assert validity.clock_fault(BUILT_S + SERVICE_S) == ""
    assert validity.clock_fault(4_102_444_800) == "it is 73y 56d ahead of the making of this package"
