# SPDX-License-Identifier: Apache-2.0
"""Certificates from disk, and the block of `tedge cert show`."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from tedge_cert.errors import CertificateError
from tedge_cert.x509 import certificate
from tedge_cert.x509.certificate import Certificate, load, name_text
from unit.certificates import DAY_S, NOW_S, make, make_for, name_of
from unit.children import run

CA = make("a CA")
LEAF = make(issuer=CA)


def test_loads_a_leaf_with_its_chain(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_bytes(LEAF.pem + CA.pem)
    loaded = load(path)
    assert (loaded.leaf, loaded.chain) == (LEAF.certificate, (CA.certificate,))
    assert loaded.pem == path.read_bytes()
    assert (loaded.der, loaded.validity.device_id) == (LEAF.der, "device-1")
    assert loaded.validity.not_after_s == NOW_S + 365 * DAY_S
    assert (
        loaded.public_key
        == Certificate(make(key=LEAF.key).certificate).public_key
        != Certificate(CA.certificate).public_key
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: b"Subject: CN=device-1\n" + pem,
        lambda pem: LEAF.key_pem + pem,
        lambda pem: pem.rstrip(),
        lambda pem: b"\xef\xbb\xbf" + pem,
    ],
)
def test_accepts_what_lies_around_a_certificate(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    (tmp_path / "cert.pem").write_bytes(change(LEAF.pem))
    assert load(tmp_path / "cert.pem").leaf == LEAF.certificate


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the certificate {}: No such file or directory; expected .*`sudo tedge cert download c8y`"),
        (b"", "{} holds no certificate in PEM: the file is empty"),
        (b"garbage", '{} holds no certificate in PEM: no "BEGIN CERTIFICATE" block found'),
        (LEAF.der, "{} holds no certificate in PEM"),
        (LEAF.key_pem, "{} holds no certificate in PEM"),
        (LEAF.pem[:-30], "{} holds no certificate in PEM: .*cut off"),
        (LEAF.pem + CA.pem[:100], "{} holds no certificate in PEM: .*cut off"),
        (LEAF.pem.replace(b"MII", b"AII"), "{} holds no certificate in PEM"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CertificateError, match=said.format(path)):
        load(path)


def test_a_directory_is_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=f"cannot read the certificate {tmp_path}: is not a regular file"):
        load(tmp_path)


@given(st.integers(0, len(LEAF.der) - 1), st.integers(0, 255))
def test_a_spoilt_certificate_is_readable_or_refused_at_once(at: int, octet: int) -> None:
    try:
        found = certificate.from_der(LEAF.der[:at] + bytes([octet]) + LEAF.der[at + 1 :])
    except ValueError:
        return
    read = Certificate(found)
    assert read.describe(Path("/c.pem"), 0).count("\n") == 8
    assert isinstance(read.public_key, bytes)
    assert isinstance(read.validity.device_id, str)


@given(st.binary(max_size=300))
def test_garbage_is_a_value_error_and_nothing_else(garbage: bytes) -> None:
    for content in (garbage, b"-----BEGIN CERTIFICATE-----\n" + garbage + b"\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ValueError, match=r"."):
            certificate.from_pem(content)


def test_an_unknown_kind_of_key_matches_none() -> None:
    p256 = bytes.fromhex("06082a8648ce3d030107")
    assert LEAF.der.count(p256) == 1
    assert Certificate(certificate.from_der(LEAF.der.replace(p256, p256[:-1] + b"\x77"))).public_key == b""


@pytest.mark.parametrize("key", [None, rsa.generate_private_key(65_537, 2048)])
def test_shows_what_openssl_shows(tmp_path: Path, key: rsa.RSAPrivateKey | None) -> None:
    path = tmp_path / "cert.pem"
    made = make_for(100, key=key)
    path.write_bytes(made.pem)
    fields = [
        "-subject",
        "-issuer",
        "-serial",
        "-fingerprint",
        "-sha1",
        "-startdate",
        "-enddate",
        "-nameopt",
        "sep_comma_plus_space,sname",
    ]
    openssl = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", *fields, "-dateopt", "iso_8601"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown = dict(line.split(":", 1) for line in load(path).describe(path, 0, NOW_S).splitlines())
    assert list(shown) == [
        "Certificate", "Subject", "Issuer", "Status", "Valid from", "Valid until", "Serial number", "Thumbprint"
    ]  # fmt: skip
    assert shown["Thumbprint"].strip() in openssl.replace(":", "")
    assert f"subject={shown['Subject'].strip()}\n" in openssl
    assert shown["Serial number"].strip() == "4660 (0x1234)"


def test_the_block_of_a_certificate() -> None:
    shown = Certificate(LEAF.certificate).describe(Path("/c.pem"), 30 * DAY_S, NOW_S)
    assert shown.startswith(
        "Certificate:   /c.pem\n"
        "Subject:       CN=device-1, O=Thin Edge, OU=Device\n"
        "Issuer:        CN=a CA, O=Thin Edge, OU=Device\n"
        "Status:        VALID (expires in: 1y)\n"
        "Valid from:    Sun, 22 Nov 2026 12:00:00 +0000\n"
        "Valid until:   Tue, 23 Nov 2027 12:00:00 +0000\n"
        "Serial number: 4660 (0x1234)\n"
        "Thumbprint:    "
    )


def test_names_of_every_kind() -> None:
    oid = x509.NameOID
    email = x509.NameAttribute(oid.EMAIL_ADDRESS, "a@b.example")
    joined = x509.RelativeDistinguishedName([x509.NameAttribute(oid.ORGANIZATIONAL_UNIT_NAME, "\u00d6"), email])
    other = x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "x")
    assert Certificate(make(x509.Name([joined, x509.RelativeDistinguishedName([other])])).certificate).subject in (
        "OU=\u00d6 + Email=a@b.example, 1.2.3.4=x",
        "Email=a@b.example + OU=\u00d6, 1.2.3.4=x",
    )
    assert name_text(b"") == ""


def test_a_name_with_two_identities() -> None:
    twice = x509.Name([*name_of("one"), *name_of("two")])
    assert Certificate(make(twice).certificate).validity.device_id == "one"


@pytest.mark.parametrize(
    ("words", "suffix", "status"),
    [
        ([], "", "VALID"),
        (["--new"], ".new", "EXPIRES SOON"),
        (["c8y"], "", "VALID"),
        (["--cert-path", "+other"], "+other", "EXPIRED"),
    ],
)
def test_shows_certificates_on_the_command_line(tmp_path: Path, words: list[str], suffix: str, status: str) -> None:
    path = tmp_path / "cert.pem"
    (tmp_path / "tedge.toml").write_text(f'[device]\ncert_path = "{path}"\n')
    for name, days in (("", 100), (".new", 20), ("+other", -2)):
        path.with_name(path.name + name).write_bytes(make_for(days).pem)
    result = run(["tedge-cert-show", *[f"{path}+other" if word == "+other" else word for word in words]], tmp_path)
    assert (result.exit, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Certificate:   {path}{suffix}\n")
    assert f"Status:        {status} (" in result.stdout


def test_showing_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "tedge.toml").write_text(f'[device]\ncert_path = "{tmp_path}/cert.pem"\n')
    result = run(["tedge-cert-show", "--new"], tmp_path)
    assert (result.exit, result.stdout) == (1, "")
    assert f"cannot read the certificate {tmp_path}/cert.pem.new" in result.stderr
