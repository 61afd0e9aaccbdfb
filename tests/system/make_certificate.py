#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Placed on a device as `make-certificate PATH CN FROM TO [ISSUER]`: a certificate from FROM to TO days from now.

TO gets 30 s more, which no command takes; the private key lies beside, and one that is there is used again.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        found = serialization.load_pem_private_key(path.read_bytes(), None)
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise SystemExit(f"{path} is no EC key")
        return found
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form))
    return key


def _name(text: str) -> x509.Name:
    oid = x509.NameOID
    parts = ((oid.COMMON_NAME, text), (oid.ORGANIZATION_NAME, "Thin Edge"), (oid.ORGANIZATIONAL_UNIT_NAME, "Device"))
    return x509.Name([x509.NameAttribute(*part) for part in parts])


def main(path: str, name: str, begin: str, end: str, issuer: str = "") -> None:
    key = _key(Path(path).parent / "tedge-private-key.pem")
    now = datetime.now(UTC).replace(tzinfo=None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer or name))
        .public_key(key.public_key())
        .serial_number(4660)
        .not_valid_before(now + timedelta(days=int(begin)))
        .not_valid_after(now + timedelta(days=int(end), seconds=30))
    )
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()) if issuer else key, hashes.SHA256())
    Path(path).write_bytes(signed.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    main(*sys.argv[1:])
