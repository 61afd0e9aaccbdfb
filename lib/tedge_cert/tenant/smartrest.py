# SPDX-License-Identifier: Apache-2.0
"""Cumulocity's static templates of SmartREST 2.0: one message a line, its fields as CSV."""

ALARM_MAJOR, ALARM_CLEARED, EVENT = "302", "306", "400"
# A message may have 16 KiB in all; what a person reads in a list is much shorter.
_MOST_CHARACTERS = 1000


def message(template: str, *values: str) -> str:
    """A message of one line, whatever the values hold."""
    return ",".join([template, *map(_field, values)])


def _field(value: str) -> str:
    """A value in quotes where it needs them; control characters, line breaks among them, become blanks."""
    text = "".join(each if each.isprintable() else " " for each in value)[:_MOST_CHARACTERS]
    if any(each in text for each in ',"') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text
