# SPDX-License-Identifier: Apache-2.0
"""Read not-before and not-after of a certificate file, and compute what is left.

Every device does this every hour, so only built-in modules are imported: the DER reader below costs two milliseconds
less than the interpreter's own ``re`` module, and a tenth of ``cryptography``.
"""

from tedge_cert.durations import format_duration
from tedge_cert.hourly import pem
from tedge_cert.hourly.der import attributes, element
from tedge_cert.hourly.pem_faults import PemError

UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
COMMON_NAME = b"\x55\x04\x03"

VALID, EXPIRES_SOON, EXPIRED, NOT_VALID_YET = "VALID", "EXPIRES SOON", "EXPIRED", "NOT VALID YET"


# The date of this version; a right clock is never earlier. A test compares it with debian/changelog.
BUILT_S = 1_795_431_600
# Forty years. A clock without a battery may begin anywhere, and no installation of this version lasts so long.
SERVICE_S = 1_261_440_000


class Validity:
    """The period of a certificate; both bounds in seconds since the epoch, UTC (RFC 5280 §4.1.2.5).

    ``serial`` is its number in hexadecimal digits; ``subject`` and ``issuer`` are names in DER, without their header.
    """

    __slots__ = ("issuer", "not_after_s", "not_before_s", "serial", "subject")

    def __init__(
        self, not_before_s: int, not_after_s: int, serial: str = "", subject: bytes = b"", issuer: bytes = b""
    ) -> None:
        self.not_before_s = not_before_s
        self.not_after_s = not_after_s
        self.serial = serial
        self.subject = subject
        self.issuer = issuer

    @property
    def lifetime_s(self) -> int:
        """Seconds from not-before to not-after."""
        return self.not_after_s - self.not_before_s

    @property
    def common_name(self) -> str:
        """The first common name of the holder; empty if there is none. Bytes that are no text are surrogates in it."""
        try:
            return next((text for oid, text, _ in attributes(self.subject) if oid == COMMON_NAME), "")
        except (IndexError, ValueError):
            return ""

    @property
    def device_id(self) -> str:
        """The common name if it can be a device id; empty otherwise. Every place takes the id of the device from here.

        A name with a line break or another character that is not printable is none: the id stands in lines of files,
        of listings and of the journal.
        """
        name = self.common_name
        return name if name.isprintable() else ""

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


def flaw_of_name(found: Validity) -> str:
    """Say why the name in a certificate is no device id, as the rest of a sentence; empty if it is one."""
    if found.device_id:
        return ""
    if not found.common_name:
        return "has no common name (CN), which is the device id"
    from tedge_cert.journal import quoted

    return f"has a common name (CN) that is not printable text, {quoted(found.common_name)}, and it is the device id"


def impossible(now_s: float) -> str:
    """Return why no right clock can show this time, with any certificate; empty if one can."""
    ahead_s = now_s - BUILT_S
    if 0 <= ahead_s <= SERVICE_S:
        return ""
    side = "behind" if ahead_s < 0 else "ahead of"
    return f"it is {format_duration(int(abs(ahead_s)), 2)} {side} the making of this package"


def read_validity(path: str) -> Validity:
    """Return the validity of the first certificate in the PEM file ``path``.

    Raises OSError or PemError.
    """
    return validity_of_pem(pem.read(path))


def validity_of_pem(content: bytes) -> Validity:
    """Return the validity of the first certificate in ``content``, which must be the device's; raises PemError."""
    try:
        found = [validity_of_der(each) for each in pem.certificates_in(content)]
    except PemError:
        raise
    except (ValueError, IndexError) as error:
        raise PemError(f"the PEM block holds no X.509 certificate ({error})") from error
    check_order(found)
    return found[0]


def check_order(found: list[Validity]) -> None:
    """Raise PemError if the first certificate issued a later one: OpenSSL takes the first for the device's."""
    first = found[0]
    for number, each in enumerate(found[1:], 2):
        if each.issuer == first.subject != each.subject:
            raise PemError(
                f"the first certificate in it is its authority's, and the device's certificate is {ordinal(number)}; "
                "put it first",
                "sudoedit FILE",
            )


def ordinal(number: int) -> str:
    """Return the place of a certificate in a file in words, from the second one on."""
    words = ("the second one", "the third one", "the fourth one")
    return words[number - 2] if number - 2 < len(words) else f"number {number}"


def validity_of_der(der: bytes) -> Validity:
    """Return the validity of a certificate in DER; raises ValueError or IndexError if it is none."""
    # Certificate > TBSCertificate > [0] version, serial, signature, issuer, validity (RFC 5280 §4.1).
    _, at, end = element(der, 0)
    if end != len(der):
        raise ValueError("more than a certificate")
    _, at, _ = element(der, at)
    tag, _, end = element(der, at)
    if tag == 0xA0:
        at = end
    _, serial, at = element(der, at)
    number = int.from_bytes(der[serial:at], "big", signed=True)
    _, _, at = element(der, at)
    _, issuer, issuer_end = element(der, at)
    _, at, validity_end = element(der, issuer_end)
    before_tag, before, before_end = element(der, at)
    after_tag, after, after_end = element(der, before_end)
    _, subject, subject_end = element(der, validity_end)
    return Validity(
        _time_s(before_tag, der[before:before_end].decode("ascii")),
        _time_s(after_tag, der[after:after_end].decode("ascii")),
        f"{number:x}",
        der[subject:subject_end],
        der[issuer:issuer_end],
    )


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
