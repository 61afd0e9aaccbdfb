# SPDX-License-Identifier: Apache-2.0
"""A device that is to get a new private key together with its next certificate."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tedge_cert.steps.switch import Switch
from unit.certificates import DAY_S, key_pem, name_of, new_key
from unit.connected import instance_of
from unit.local_device import LocalDevice


def want_new_keys(device: LocalDevice) -> None:
    """Set certificate.rotate_key."""
    file = device.directory / "tedge.toml"
    file.write_text(file.read_text() + "\n[certificate]\nrotate_key = true\n")


def candidate_key(device: LocalDevice) -> Path:
    """The candidate key."""
    return instance_of(device).candidate_key


def issue_pair(device: LocalDevice) -> None:
    """Put a candidate of the tenant's there, and its key."""
    key = new_key()
    builder = x509.CertificateSigningRequestBuilder().subject_name(name_of(device.device_id))
    request = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    path = candidate_key(device)
    path.write_bytes(key_pem(key))
    path.chmod(0o640)
    device.candidate.write_text(device.tenant.issue(request, lifetime_s=90 * DAY_S))


def promote_pair(device: LocalDevice) -> None:
    """Promote candidate and candidate key, and get no further."""
    switch, found = Switch.of(instance_of(device)), device.candidate.read_bytes()
    switch.promote(switch.prepare(found, switch.candidate_key.read_bytes()), found)
