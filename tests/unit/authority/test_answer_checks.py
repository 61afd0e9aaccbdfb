# SPDX-License-Identifier: Apache-2.0
"""The checks of a certificate made elsewhere."""

import base64
import errno
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509 import AuthorityKeyIdentifier
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from tedge_cert.authority import answer_checks
from tedge_cert.authority.answer_checks import UnfitCertificateError
from tedge_cert.errors import CertificateError, ClockError, TedgeCertError, UnreadableError
from tedge_cert.x509.certificate import Certificate
from unit.certificates import DAY_S, NOW, NOW_S, Made, make, name_of, new_key, with_bytes

ROOT_CA = make("root")
CA = make("between", issuer=ROOT_CA)
KEY = new_key()
LEAF = make(issuer=CA, key=KEY)
STRANGER = make("stranger")
OURS = Certificate(LEAF.certificate).public_key


def x509_of(*made: Made) -> list[x509.Certificate]:
    return [each.certificate for each in made]


@pytest.mark.parametrize(
    ("received", "chain"),
    [
        ([LEAF], []),
        ([LEAF, CA, ROOT_CA], [CA, ROOT_CA]),
        ([ROOT_CA, CA, LEAF], [CA, ROOT_CA]),
        ([CA, LEAF, ROOT_CA, STRANGER], [CA, ROOT_CA]),
        ([ROOT_CA, LEAF], []),
        ([LEAF, LEAF, CA, CA], [CA]),
    ],
)
def test_the_leaf_is_known_by_its_key(received: list[Made], chain: list[Made]) -> None:
    picked = answer_checks.pick(x509_of(*received), OURS)
    assert (picked.leaf, list(picked.chain)) == (LEAF.certificate, x509_of(*chain))


def test_of_two_leaves_the_one_that_lasts_longer() -> None:
    shorter = make(issuer=CA, key=KEY, end=NOW + timedelta(days=9))
    for order in ([shorter, LEAF], [LEAF, shorter]):
        assert answer_checks.pick(x509_of(*order), OURS).leaf == LEAF.certificate


def test_a_chain_in_a_circle_ends() -> None:
    """Two authorities that signed each other."""
    keys = new_key(), new_key()
    first, second = (make(name, key=key) for name, key in zip(("one", "two"), keys, strict=True))
    one, two = make("one", issuer=second, key=keys[0]), make("two", issuer=first, key=keys[1])
    mine = make(issuer=one, key=KEY)
    picked = answer_checks.pick(x509_of(two, one, mine), OURS)
    assert [picked.leaf, *picked.chain] == x509_of(mine, one, two)


@pytest.mark.parametrize("kind", ["EC", "RSA", "Ed25519"])
def test_of_two_authorities_of_one_name_the_one_whose_key_signed(kind: str) -> None:
    """As after a rollover of keys."""
    made: dict[str, Callable[[], Any]] = {
        "EC": new_key,
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    before, after = (make("a CA", issuer=ROOT_CA, key=made[kind]()) for _ in range(2))
    for signer, other in ((before, after), (after, before)):
        mine = make(issuer=signer, key=KEY)
        for order in ([mine, signer, other], [mine, other, signer]):
            assert list(answer_checks.pick(x509_of(*order), OURS).chain) == x509_of(signer)
        assert answer_checks.pick(x509_of(mine, other), OURS).chain == ()


def test_thousands_are_not_even_parsed(mocker: MockerFixture) -> None:
    parse = mocker.patch("tedge_cert.authority.answer_checks.from_pem")
    with pytest.raises(UnfitCertificateError, match=r"there are 1501 certificates, expected .*\(100 at most"):
        answer_checks.parse_candidate(make(key=KEY).pem * 1501, OURS)
    parse.assert_not_called()


def test_of_many_certificates_ten_are_a_chain() -> None:
    chain = [make("authority 0")]
    for number in range(1, answer_checks.LONGEST_CHAIN + 1):
        chain.insert(0, make(f"authority {number}", issuer=chain[0]))
    fits, longer = make(issuer=chain[1], key=KEY), make(issuer=chain[0], key=KEY)
    assert len(answer_checks.pick(x509_of(fits, *chain), OURS).chain) == 10
    with pytest.raises(UnfitCertificateError, match="its chain has more than 10 certificates"):
        answer_checks.pick(x509_of(longer, *chain), OURS)
    with pytest.raises(UnfitCertificateError, match="there are 2001 certificates, expected"):
        answer_checks.pick([LEAF.certificate, *[CA.certificate] * 2000], OURS)


@pytest.mark.parametrize(("received", "count"), [([], 0), ([STRANGER], 1), ([CA, ROOT_CA], 2)])
def test_nothing_for_our_key(received: list[Made], count: int) -> None:
    with pytest.raises(UnfitCertificateError, match=f"none of the {count} certificates? received is for the key"):
        answer_checks.pick(x509_of(*received), OURS)


def judge(made: Made, current: Made | None = None, by_unit: bool = True) -> None:
    before = Certificate(current.certificate) if current else None
    answer_checks.check(Certificate(made.certificate), OURS, "device-1", before, NOW_S, by_unit)


def leaf(begin_s: int = -DAY_S, end_s: int = 365 * DAY_S, name: str | x509.Name = "device-1") -> Made:
    return make(name, key=KEY, begin=NOW + timedelta(seconds=begin_s), end=NOW + timedelta(seconds=end_s))


@pytest.mark.parametrize(
    ("candidate", "current"),
    [
        (leaf(), None),
        (leaf(), leaf(end_s=365 * DAY_S - 1)),
        (leaf(), leaf(end_s=-5)),
        (leaf(begin_s=300), None),
        (leaf(end_s=0), None),
    ],
)
def test_what_serves_this_device(candidate: Made, current: Made | None) -> None:
    judge(candidate, current)


@pytest.mark.parametrize(
    ("candidate", "current", "said"),
    [
        (make(), None, "it is for another key than the one of this device"),
        (leaf(name="device-2"), None, "it is issued to device-2, expected the device id device-1"),
        (leaf(name="Device-1"), None, "it is issued to Device-1"),
        (leaf(name=x509.Name([])), None, "it is issued to no name"),
        (leaf(name=x509.Name([*name_of("device-2"), *name_of("device-1")])), None, "issued to device-2, expected"),
        (leaf(end_s=-1), None, "it expired 1s ago"),
        (leaf(end_s=-3 * DAY_S, begin_s=-9 * DAY_S), None, "it expired 3d ago"),
        (leaf(), leaf(), "not later than the certificate that it is to replace"),
        (leaf(), leaf(end_s=400 * DAY_S), "not later than the certificate that it is to replace"),
    ],
)
def test_what_can_never_serve_it(candidate: Made, current: Made | None, said: str) -> None:
    with pytest.raises(UnfitCertificateError, match=said):
        judge(candidate, current)


NEXT_CA = make("between", issuer=ROOT_CA)


def signed_by(issuer: Made | None, end_s: int) -> Made:
    key = AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()) if issuer else None
    return make(key=KEY, issuer=issuer, end=NOW + timedelta(seconds=end_s), extension=key)


@pytest.mark.parametrize(
    ("candidate", "current", "by_unit", "is_refused"),
    [
        (signed_by(CA, DAY_S), signed_by(CA, 9 * DAY_S), True, True),
        (signed_by(CA, DAY_S), signed_by(CA, DAY_S), True, True),
        (signed_by(CA, DAY_S), signed_by(CA, 9 * DAY_S), False, False),
        (signed_by(CA, DAY_S), leaf(end_s=3650 * DAY_S), True, False),
        (signed_by(CA, DAY_S), signed_by(ROOT_CA, 9 * DAY_S), True, False),
        (signed_by(CA, DAY_S), signed_by(NEXT_CA, 9 * DAY_S), True, False),
    ],
    ids=["same issuer", "same end", "by hand", "from self-signed", "another issuer", "another key of the issuer"],
)
def test_an_end_that_is_no_later(
    capsys: pytest.CaptureFixture[str], candidate: Made, current: Made, by_unit: bool, is_refused: bool
) -> None:
    """A move to another issuer is taken with a warning; in the unit the same issuer would be asked every hour."""
    said = "not later than the certificate that it is to replace"
    if is_refused:
        with pytest.raises(UnfitCertificateError, match=said):
            judge(candidate, current, by_unit=by_unit)
    else:
        judge(candidate, current, by_unit=by_unit)
        warned = capsys.readouterr().err
        assert warned.startswith(f"warning: the new certificate: it ends Tue, 24 Nov 2026 12:00:00 +0000, {said}")


@pytest.mark.parametrize("place", ["answer", "current"])
def test_an_authority_that_cuts_at_its_own_end_is_named(place: str) -> None:
    ending = make("a CA", end=NOW + timedelta(days=9))
    new, old = (Certificate(make(key=KEY, issuer=ending, end=NOW + timedelta(days=9)).certificate) for _ in range(2))
    chained = [Certificate(each.leaf, (ending.certificate,)) for each in (new, old)]
    pair = (chained[0], old) if place == "answer" else (new, chained[1])
    with pytest.raises(UnfitCertificateError) as caught:
        answer_checks.check(pair[0], OURS, "device-1", pair[1], NOW_S)
    assert "; the authority itself ends on Wed, 02 Dec 2026 12:00:00 +0000, and issues nothing" in str(caught.value)


@pytest.mark.parametrize("ahead_s", [301, 3600, 365 * DAY_S])
def test_a_beginning_far_ahead_speaks_against_the_clock(ahead_s: int) -> None:
    with pytest.raises(
        ClockError, match=r"the clock is wrong: it says Mon, 23 Nov 2026 12:00:00 \+0000, but .*; set it"
    ):
        judge(leaf(begin_s=ahead_s, end_s=ahead_s + DAY_S))


def test_a_clock_that_is_wrong_rejects_nothing() -> None:
    assert not issubclass(ClockError, CertificateError)
    with pytest.raises(UnfitCertificateError, match="another key"):
        judge(make(begin=NOW + timedelta(days=9)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it holds no certificate in PEM: the file is empty"),
        (b"garbage", "it holds no certificate in PEM"),
        (LEAF.der, "it holds no certificate in PEM"),
        (LEAF.pem[:200], "it holds no certificate in PEM"),
        (LEAF.key_pem, "it holds no certificate in PEM"),
        (STRANGER.pem, "none of the 1 certificate"),
    ],
)
def test_candidates_that_are_none(content: bytes, said: str) -> None:
    with pytest.raises(UnfitCertificateError, match=said):
        answer_checks.parse_candidate(content, OURS)


def test_a_candidate_in_any_order() -> None:
    assert answer_checks.parse_candidate(CA.pem + LEAF.pem, OURS).pem == LEAF.pem + CA.pem


@given(st.integers(0, len(LEAF.pem) - 1), st.binary(max_size=3), st.integers(0, len(LEAF.pem)))
def test_a_spoilt_candidate_is_judged_whatever_it_holds(at: int, octets: bytes, length: int) -> None:
    for content in (LEAF.pem[:at] + octets + LEAF.pem[at + 1 :], LEAF.pem[:length], octets):
        try:
            answer_checks.check(answer_checks.parse_candidate(content, OURS), OURS, "device-1", None, NOW_S)
        except TedgeCertError as error:
            assert str(error)  # noqa: PT017 (some of them are still good)


@given(st.integers(0, len(LEAF.der) - 1), st.integers(0, 255))
def test_a_spoilt_certificate_is_judged_whatever_it_holds(at: int, octet: int) -> None:
    spoilt = LEAF.der[:at] + bytes([octet]) + LEAF.der[at + 1 :]
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(spoilt) + b"\n-----END CERTIFICATE-----\n"
    try:
        answer_checks.check(answer_checks.parse_candidate(pem + CA.pem, OURS), OURS, "device-1", None, NOW_S)
    except TedgeCertError as error:
        assert str(error)  # noqa: PT017 (some of them are still good)


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "huge"])
def test_a_candidate_must_be_a_plain_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "cert.pem.new"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "huge":
        path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(UnfitCertificateError, match=f"{path} cannot be read as a plain file"):
        answer_checks.read_candidate(path)


def test_a_candidate_that_could_not_be_looked_at_is_not_called_bad(tmp_path: Path, mocker: MockerFixture) -> None:
    path = tmp_path / "the cert.pem.new"
    read = mocker.patch("tedge_cert.disk.files.read_regular")
    for error, said in (
        (
            PermissionError(errno.EACCES, "Permission denied"),
            f"Permission denied; .*`sudo chmod 644 '{path}'` lets user",
        ),
        (OSError(errno.EIO, "Input/output error"), "Input/output error; it is kept as it is: check the file system"),
    ):
        read.side_effect = error
        with pytest.raises(UnreadableError, match=said):
            answer_checks.read_candidate(path)


def test_the_first_of_two_common_names_is_the_id() -> None:
    twice = leaf(name=x509.Name([*name_of("device-1"), *name_of("device-2")]))
    answer_checks.check(Certificate(twice.certificate), OURS, "device-1", None, NOW_S)


def test_a_chain_whose_names_are_no_text_is_a_chain() -> None:
    authority = with_bytes(make("Geraete MQller"), b"MQller", b"M\xfcller")
    plain = make(key=KEY, issuer=make("Geraete MQller", key=authority.key))
    device = with_bytes(plain, b"MQller", b"M\xfcller", authority)
    picked = answer_checks.pick(x509_of(authority, device), OURS)
    assert list(picked.chain) == x509_of(authority)
    assert picked.issuer == "CN=Geraete M\\xFCller, O=Thin Edge, OU=Device"
