# SPDX-License-Identifier: Apache-2.0
"""Certificate requests of devices, and the certificates made for them."""

from datetime import datetime
from typing import Any

from asn1crypto import csr, x509
from cryptography import x509 as cx509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tenant.authority import Authority, Key, extensions_of, sign, spki


def load_request(der: bytes) -> tuple[Any, str]:
    """The CSR and its CN; raises `ValueError` unless it is one, signed with its own key."""
    loaded = cx509.load_der_x509_csr(der)
    if not loaded.is_signature_valid:
        raise ValueError("the signature of the CSR is wrong")
    names = loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return csr.CertificationRequest.load(der), str(names[0].value) if names else ""


def issue(authority: Authority, request: Any, valid: tuple[datetime, datetime], **bend: Any) -> bytes:
    """Sign a leaf for a CSR: its subject and subjectAltName byte for byte, unless `bend` says otherwise.

    `bend` is `subject` (another name) or `public_key` (another key): certificates that a client must refuse.
    """
    info = request["certification_request_info"]
    public_key = bend.get("public_key") or info["subject_pk_info"].dump()
    extensions: list[Any] = extensions_of(
        ca=False, purpose="client_auth", public_key=public_key, issuer_key=spki(authority.key)
    )
    extensions += [e for e in csr_extensions(request) if e["extn_id"].native == "subject_alt_name"]
    issuer = x509.Certificate.load(authority.der).subject
    return sign(authority.key, issuer, bend.get("subject") or info["subject"], public_key, valid, extensions)


def csr_extensions(request: Any) -> list[Any]:
    """The extensions that a CSR asks for."""
    wanted: list[Any] = []
    for attribute in request["certification_request_info"]["attributes"] or []:
        if attribute["type"].native == "extension_request":
            wanted += [x509.Extension.load(e.dump()) for e in attribute["values"][0]]
    return wanted


def new_request(common_name: str, key: Key) -> Any:
    """A CSR for a device whose key the tenant holds itself."""
    subject = cx509.Name([cx509.NameAttribute(cx509.NameOID.COMMON_NAME, common_name)])
    made = cx509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return csr.CertificationRequest.load(made.public_bytes(Encoding.DER))
