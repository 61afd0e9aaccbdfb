# SPDX-License-Identifier: Apache-2.0
"""The reader of PEM, compared with OpenSSL itself on odd files: it takes what OpenSSL takes and nothing more."""

import random
import ssl
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tedge_cert.hourly import pem
from tedge_cert.hourly.pem_faults import PemError
from tedge_cert.hourly.validity import validity_of_pem
from unit.certificates import Made, make, new_key, pem_of

KEY = new_key()
CA = make("a CA")
LEAF = make(key=KEY, issuer=CA)
LINES = LEAF.pem.splitlines(keepends=True)
BEGIN, END = LINES[0], LINES[-1]
BLOCK = b"-----BEGIN X-----\nAAAA\n-----END X-----\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the key."""
    made = tmp_path_factory.mktemp("pem")
    (made / "key.pem").write_bytes(LEAF.key_pem)
    return made


def is_taken_by_openssl(content: bytes, directory: Path) -> bool:
    (directory / "cert.pem").write_bytes(content)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(directory / "cert.pem", directory / "key.pem")
    except ssl.SSLError:
        return False
    return True


def is_taken_here(content: bytes) -> bool:
    try:
        return pem.certificates_in(content)[0] == LEAF.der
    except PemError:
        return False


ODD: dict[str, bytes] = {
    "CR LF": LEAF.pem.replace(b"\n", b"\r\n"),
    "CR": LEAF.pem.replace(b"\n", b"\r"),
    "a mark of UTF-8": b"\xef\xbb\xbf" + LEAF.pem,
    "a mark of UTF-8 after text": b"text\n\xef\xbb\xbf" + LEAF.pem,
    "a mark of UTF-8 in the middle": LEAF.pem + b"\xef\xbb\xbf" + CA.pem,
    "UTF-16": LEAF.pem.decode().encode("utf-16"),
    "text around": b"Subject: CN=x\n" + LEAF.pem + b"the end",
    "text before on the line": b"x" + LEAF.pem,
    "no line break at the end": LEAF.pem.rstrip(),
    "indented": b"".join(b"  " + each for each in LINES),
    "only the data indented": BEGIN + b"".join(b"  " + each for each in LINES[1:-1]) + END,
    "only the end indented": b"".join(LINES[:-1]) + b" " + END,
    "blanks at the ends": LEAF.pem.replace(b"\n", b" \t\n"),
    "blanks in the data": LEAF.pem.replace(b"\n", b" \n").replace(b"MII", b"M I I"),
    "no line breaks": LEAF.pem.replace(b"\n", b""),
    "data in one line": BEGIN + b"".join(LINES[1:-1]).replace(b"\n", b"") + b"\n" + END,
    "a blank line first": BEGIN + b"\n" + b"".join(LINES[1:]),
    "a blank line within": b"".join(LINES[:3]) + b"\n" + b"".join(LINES[3:]),
    "a blank line last": b"".join(LINES[:-1]) + b"\n" + END,
    "a header": BEGIN + b"Proc-Type: 4,ENCRYPTED\n\n" + b"".join(LINES[1:]),
    "another label": LEAF.pem.replace(b"CERTIFICATE", b"X509 CERTIFICATE"),
    "a trusted one": LEAF.pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
    "an unknown label": LEAF.pem.replace(b"CERTIFICATE", b"CERT"),
    "two labels": LEAF.pem.replace(b"END CERTIFICATE", b"END X509 CERTIFICATE"),
    "a key before": LEAF.key_pem + LEAF.pem,
    "a spoilt key before": LEAF.key_pem.replace(b"A", b"!") + LEAF.pem,
    "another block before": BLOCK + LEAF.pem,
    "another block that is cut off, after": LEAF.pem + BLOCK[:-20],
    "a chain that is cut off": LEAF.pem + CA.pem[:90],
    "a spoilt chain": LEAF.pem + CA.pem.replace(b"MII", b"M!I"),
    "cut off": LEAF.pem[:-30],
    "padding": LEAF.pem.replace(END, b"=\n" + END),
    "a NUL at a line's begin": LEAF.pem + b"\0\n" + CA.pem[:90],
    "a NUL in text": b"te\0xt\n" + LEAF.pem,
    "an empty block": BEGIN + END,
    "rubbish after the certificate": LEAF.pem + b"-----BEGIN",
    "upper case only": LEAF.pem.replace(b"BEGIN", b"Begin"),
    "four hyphens": LEAF.pem.replace(b"-----", b"----"),
    "nothing": b"",
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_file_is_judged_as_by_openssl(odd: str, directory: Path) -> None:
    assert is_taken_here(ODD[odd]) == is_taken_by_openssl(ODD[odd], directory)


PIECES = (b"\n", b"\r\n", b" ", b"\t", b"\0", BEGIN, END, BLOCK, b"=", b"\n\n", b"A", b":", b"-", b"\x7f")
BASES = (LEAF.pem, LEAF.pem + CA.pem, LEAF.key_pem + LEAF.pem, b"text\n" + LEAF.pem, LEAF.pem.replace(b"\n", b"\r\n"))


@settings(max_examples=300)
@given(st.integers(0, 1 << 30))
def test_nothing_is_taken_that_openssl_refuses(directory: Path, seed: int) -> None:
    """OpenSSL takes some spoilt files that are refused here, such as a line that ends with a byte above 127."""
    chance = random.Random(seed)  # noqa: S311 (a choice of test inputs)
    content = chance.choice(BASES)
    for _ in range(chance.choice((1, 2))):
        edges = [at for at in range(len(content)) if content[at : at + 1] in (b"\n", b"-")]
        at = chance.choice((0, len(content), chance.randrange(len(content)), chance.choice(edges)))
        content = content[:at] + chance.choice(PIECES) + content[at + chance.choice((0, 0, 1)) :]
    if is_taken_here(content) and pem.certificates_in(content)[1:] in ([], [CA.der]):
        assert is_taken_by_openssl(content, directory)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ((CA, LEAF), "its authority's, and the device's certificate is the second one; put it first"),
        ((CA, make("another CA"), LEAF), "the device's certificate is the third one; put it first"),
        ((LEAF, CA), ""),
        ((LEAF, make("a CA", key=CA.key, serial=2), CA), ""),
        ((make(), make()), ""),
    ],
)
def test_the_devices_certificate_comes_first(order: tuple[Made, ...], said: str) -> None:
    if not said:
        assert validity_of_pem(pem_of(*order)).serial == "1234"
        return
    with pytest.raises(PemError, match=said):
        validity_of_pem(pem_of(*order))
