# SPDX-License-Identifier: Apache-2.0
"""Fields as the tenant reads them: CSV, a message a line."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.tenant.alarm import message


def test_plain_values_are_as_they_are() -> None:
    assert message("306", "c8y_CertificateRenewalFailed") == "306,c8y_CertificateRenewalFailed"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("a, b", '"a, b"'),
        ('said "no"', '"said ""no"""'),
        (" blank", '" blank"'),
        ("two\nlines\tand\x1bmore", "two lines and more"),
        ("", ""),
    ],
)
def test_others_are_quoted(value: str, field: str) -> None:
    assert message("302", "t", value) == f"302,t,{field}"


@given(st.text(), st.text())
def test_whatever_a_value_holds_it_is_one_message_of_as_many_fields(first: str, second: str) -> None:
    line = message("302", first, second)
    assert line.isprintable()
    assert [len(row) for row in csv.reader([line])] == [3]


def test_a_long_reason_is_cut() -> None:
    assert len(message("302", "x" * 20_000)) < 1_100
