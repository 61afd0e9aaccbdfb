# SPDX-License-Identifier: Apache-2.0
"""Read DER (X.690), as far as certificates need it; the hourly check uses this module, so it imports nothing."""

# The kinds of text with wide characters; all others are read as UTF-8.
_WIDE = {0x1C: "utf-32-be", 0x1E: "utf-16-be"}


def element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start and end of the contents of the DER element at ``at`` (X.690 §8.1)."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("length that is not DER")
        length = int.from_bytes(der[start : start + count], "big")
        start += count
    if start + length > len(der):
        raise ValueError("cut off")
    return tag, start, start + length


def attributes(name: bytes) -> list[tuple[bytes, str, bool]]:
    """Return object identifier and text of each attribute of a Name without its header (RFC 5280 §4.1.2.4).

    The last value says whether the attribute belongs to the one before it. Bytes that are no text of their kind become
    surrogates, so that a name can always be shown. Raises ValueError or IndexError.
    """
    found: list[tuple[bytes, str, bool]] = []
    end_of_set = 0
    while end_of_set < len(name):
        _, at, end_of_set = element(name, end_of_set)
        joins = False
        while at < end_of_set:
            _, start, at = element(name, at)
            _, identifier, value_at = element(name, start)
            tag, value, value_end = element(name, value_at)
            found.append((name[identifier:value_at], _text(tag, name[value:value_end]), joins))
            joins = True
    return found


def _text(tag: int, value: bytes) -> str:
    try:
        return value.decode(_WIDE.get(tag, "utf-8"))
    except UnicodeDecodeError:
        return value.decode("ascii" if tag in _WIDE else "utf-8", "surrogateescape")
