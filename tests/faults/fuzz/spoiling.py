# SPDX-License-Identifier: Apache-2.0
"""Spoils a good byte stream: single octets, lengths, pieces cut out, doubled, exchanged, taken from another stream."""

from collections.abc import Callable, Sequence
from random import Random

# What parsers stumble over: ends of ranges, ASN.1 lengths and tags, brackets and line ends of text formats.
_ODD = (
    b"\x00", b"\x7f", b"\x80", b"\xff", b"\x84\xff\xff\xff\xff", b"\x83\x01\x00\x00", b"\x30\x80", b"\x00\x00",
    b"\xa0\x80", b"\x06\x00", b"\x17\x0d", b"\x18\x0f", b"\n", b"\r\n", b"\r", b"=", b"-----BEGIN ", b"-----END",
    b'"', b"[", b"]]", b"{", b"\\u", b".", b",", b"-1", b"9" * 20, b"9" * 5000, b"\xe2\x82\xac", b"\xc3", b"\x1b[2J",
    b"71,",
)  # fmt: skip

LIMIT = 16_384


def spoil(stream: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """One to four changes to `stream`."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        stream = random.choice(_WAYS)(stream, others, random)
    return stream[:LIMIT]


def _octet(stream: bytes, _others: Sequence[bytes], random: Random) -> bytes:
    at = random.randrange(len(stream) + 1)
    return stream[:at] + random.randbytes(1) + stream[at + 1 :]


def _bit(stream: bytes, _others: Sequence[bytes], random: Random) -> bytes:
    if not stream:
        return b"\x01"
    at = random.randrange(len(stream))
    return stream[:at] + bytes([stream[at] ^ (1 << random.randrange(8))]) + stream[at + 1 :]


def _insert(stream: bytes, _others: Sequence[bytes], random: Random) -> bytes:
    at = random.randrange(len(stream) + 1)
    return stream[:at] + random.choice(_ODD) + stream[at:]


def _replace(stream: bytes, _others: Sequence[bytes], random: Random) -> bytes:
    at, odd = random.randrange(len(stream) + 1), random.choice(_ODD)
    return stream[:at] + odd + stream[at + len(odd) :]


def _remove(stream: bytes, _others: Sequence[bytes], random: Random) -> bytes:
    at = random.randrange(len(stream) + 1)
    return stream[:at] + stream[at + random.choice((1, 1, 2, 4, 16, 64)) :]


def _cut(stream: bytes, _others: Sequence[bytes], random: Random) -> bytes:
    return stream[: random.randrange(len(stream) + 1)]


def _double(stream: bytes, _others: Sequence[bytes], random: Random) -> bytes:
    at = random.randrange(len(stream) + 1)
    piece = stream[at : at + random.choice((1, 4, 32, 256))] * random.choice((1, 2, 50))
    return stream[:at] + piece + stream[at:]


def _splice(stream: bytes, others: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(others)
    return stream[: random.randrange(len(stream) + 1)] + other[random.randrange(len(other) + 1) :]


_WAYS: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _octet, _octet, _bit, _bit, _insert, _replace, _remove, _cut, _double, _splice,
)  # fmt: skip
