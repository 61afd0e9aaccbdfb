# SPDX-License-Identifier: Apache-2.0
"""Read not-before and not-after of a certificate file, and compute what is left.

Every device does this every hour, so only built-in modules are imported: the DER reader below costs two milliseconds
less than the interpreter's own ``re`` module, and a tenth of ``cryptography``.
"""

import binascii
import os

from tedge_cert.durations import format_duration

BEGIN = b"-----BEGIN CERTIFICATE-----"
END = b"-----END CERTIFICATE-----"
UTC_TIME, GENERALIZED_TIME, BMP_STRING = 0x17, 0x18, 0x1E

VALID, EXPIRES_SOON, EXPIRED, NOT_VALID_YET = "VALID", "EXPIRES SOON", "EXPIRED", "NOT VALID YET"


class UnreadableCertificateError(ValueError):
    """A file that should hold a certificate in PEM does not."""


# The date of this version; a right clock is never earlier. A test compares it with debian/changelog.
BUILT_S = 1_795_435_200
# Forty years. A clock without a battery may begin anywhere, and no installation of this version lasts so long.
SERVICE_S = 1_261_440_000


class Validity:
    """The period of a certificate; both bounds in seconds since the epoch, UTC (RFC 5280 §4.1.2.5).

    ``serial`` is its number in hexadecimal digits, ``subject`` the holder's name in DER, without its header.
    """

    __slots__ = ("not_after_s", "not_before_s", "serial", "subject")

    def __init__(self, not_before_s: int, not_after_s: int, serial: str = "", subject: bytes = b"") -> None:
        self.not_before_s = not_before_s
        self.not_after_s = not_after_s
        self.serial = serial
        self.subject = subject

    @property
    def lifetime_s(self) -> int:
        """Seconds from not-before to not-after."""
        return self.not_after_s - self.not_before_s

    @property
    def common_name(self) -> str:
        """The first common name of the holder, which is the device id; empty if there is none."""
        try:
            return _common_name(self.subject)
        except (IndexError, ValueError):
            return ""

    def clock_fault(self, now_s: float) -> str:
        """Return why clock and certificate contradict each other; empty if the clock may be right."""
        fault = impossible(now_s)
        if not fault and now_s < self.not_before_s:
            fault = f"the certificate begins in {format_duration(int(self.not_before_s - now_s), 2)} only"
        return fault

    def state(self, now_s: float, minimum_s: float) -> str:
        """Return one of the four states; a certificate "expires soon" when at most ``minimum_s`` seconds are left."""
        if now_s < self.not_before_s:
            return NOT_VALID_YET
        if now_s > self.not_after_s:
            return EXPIRED
        return EXPIRES_SOON if self.left_s(now_s) <= minimum_s else VALID

    def left_s(self, now_s: float) -> int:
        """Return whole seconds until the certificate expires; negative afterwards."""
        return int(self.not_after_s - now_s)

    def describe(self, now_s: float, minimum_s: int) -> str:
        """Return the status as ``tedge cert show`` prints it, e.g. ``VALID (expires in: 364d 8h 42m 43s)``."""
        state = self.state(now_s, minimum_s)
        if state == NOT_VALID_YET:
            return f"{state} (will be in: {format_duration(int(self.not_before_s - now_s))})"
        if state == EXPIRED:
            return f"{state} (since: {format_duration(int(now_s - self.not_after_s))})"
        return f"{state} (expires in: {format_duration(self.left_s(now_s))})"


def impossible(now_s: float) -> str:
    """Return why no right clock can show this time, with any certificate; empty if one can."""
    ahead_s = now_s - BUILT_S
    if 0 <= ahead_s <= SERVICE_S:
        return ""
    side = "behind" if ahead_s < 0 else "ahead of"
    return f"it is {format_duration(int(abs(ahead_s)), 2)} {side} the making of this package"


def read_validity(path: str) -> Validity:
    """Return the validity of the first certificate in the PEM file ``path``.

    Raises OSError or UnreadableCertificateError.
    """
    # Not blocking, because a pipe put there by mistake would block every later check.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)
    return validity_of_pem(content)


def validity_of_pem(content: bytes) -> Validity:
    """Return the validity of the first certificate in ``content``; text before it and CR LF are accepted."""
    if not content.strip():
        raise UnreadableCertificateError("the file is empty, expected a certificate in PEM")
    begin = content.find(BEGIN)
    end = content.find(END, begin)
    if begin < 0 or end < 0:
        if content[:1] == b"\x30":
            raise UnreadableCertificateError("it looks like DER, expected PEM (openssl x509 -inform DER converts it)")
        raise UnreadableCertificateError('no "BEGIN CERTIFICATE" block found, expected a certificate in PEM')
    try:
        return validity_of_der(binascii.a2b_base64(content[begin + len(BEGIN) : end]))
    except (ValueError, IndexError) as error:
        raise UnreadableCertificateError(f"the PEM block holds no X.509 certificate ({error})") from error


def validity_of_der(der: bytes) -> Validity:
    """Return the validity of a certificate in DER; raises ValueError or IndexError if it is none."""
    # Certificate > TBSCertificate > [0] version, serial, signature, issuer, validity (RFC 5280 §4.1).
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, end = _element(der, at)
    if tag == 0xA0:
        at = end
    _, serial, at = _element(der, at)
    number = int.from_bytes(der[serial:at], "big", signed=True)
    for _ in ("signature", "issuer"):
        _, _, at = _element(der, at)
    _, at, validity_end = _element(der, at)
    before_tag, before, before_end = _element(der, at)
    after_tag, after, after_end = _element(der, before_end)
    _, subject, subject_end = _element(der, validity_end)
    return Validity(
        _time_s(before_tag, der[before:before_end].decode("ascii")),
        _time_s(after_tag, der[after:after_end].decode("ascii")),
        f"{number:x}",
        der[subject:subject_end],
    )


def _common_name(subject: bytes) -> str:
    """Return the first common name in the contents of a Name (RFC 5280 §4.1.2.4)."""
    end_of_set = 0
    while end_of_set < len(subject):
        _, at, end_of_set = _element(subject, end_of_set)
        while at < end_of_set:
            _, start, at = _element(subject, at)
            _, identifier, value_at = _element(subject, start)
            if subject[identifier:value_at] == b"\x55\x04\x03":
                tag, value, value_end = _element(subject, value_at)
                return subject[value:value_end].decode("utf-16-be" if tag == BMP_STRING else "utf-8", "replace")
    return ""


def _element(der: bytes, at: int) -> tuple[int, int, int]:
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


def _time_s(tag: int, text: str) -> int:
    """Return seconds since the epoch of a UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5.1, §4.1.2.5.2)."""
    digits = 2 if tag == UTC_TIME else 4
    known = tag in (UTC_TIME, GENERALIZED_TIME) and len(text) == digits + 11
    if not (known and text[-1] == "Z" and text[:-1].isdecimal()):
        raise ValueError("time that is not RFC 5280")
    year = int(text[:digits])
    if tag == UTC_TIME:
        year += 1900 if year >= 50 else 2000
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(digits, digits + 10, 2))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    last = 28 + leap if month == 2 else 31 - (month in (4, 6, 9, 11))
    if not (1 <= month <= 12 and 1 <= day <= last and hour < 24 and minute < 60 and second < 60):
        raise ValueError("time that does not exist")
    # Count days of the civil calendar in years that begin in March, so that the leap day is the last day.
    shifted = year - (month <= 2)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + day_of_year - 719_468
    return ((days * 24 + hour) * 60 + minute) * 60 + second
