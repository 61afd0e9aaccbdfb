# SPDX-License-Identifier: Apache-2.0
"""Bad input on the device: its configuration, certificate, key and candidate."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from faults.answers import RENEW, VERIFY, Row, Standing, candidate, certificate, key, other_key, setting, toml
from unit.certificates import make, make_for, name_of, new_key
from unit.connected import issue

HOURLY, SHOW = "tedge-cert-needs-renewal --systemd c8y", "tedge-cert-show"
BROKEN = {HOURLY: 255, RENEW: 1, VERIFY: 1}
SOON = "[certificate.validity]\nminimum_duration = {}\n[c8y]"
SET = "tedge-config set certificate.validity.minimum_duration"


def looping(standing: Standing) -> None:
    """Make a link to itself, which no user can read, not even root."""
    path = standing.device.certificate
    path.unlink()
    path.symlink_to(path.name)


def other_request(standing: Standing) -> None:
    """A CSR that was made with another key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name_of(standing.device.device_id))
    request = builder.sign(new_key(), hashes.SHA256())
    (standing.device.directory / "run" / "other.csr").write_bytes(request.public_bytes(Encoding.PEM))


ROWS = [
    Row("tedge.toml that is not TOML", toml("\n[device\n"), BROKEN, "<TOML> is not valid TOML: "),
    Row("tedge.toml that is not TOML: line and column", toml("\nx = = 1\n"), BROKEN, ": line "),
    Row("unknown key", lambda _: None, {"tedge-config get c8y.ulr": 2}, "c8y.url"),
    Row("value of the wrong type", setting("[c8y]", SOON.format("[1]")), {HOURLY: 255}, "<TOML>"),
    Row("bad duration", setting("[c8y]", SOON.format('"soon"')), {HOURLY: 255}, "expected a duration"),
    Row("bad duration on the command line", lambda _: None, {f"{SET} soon": 1}, "expected a duration"),
    Row("bad device id", lambda _: None, {"tedge-cert-download c8y --device-id a/b": 1}, "a/b"),
    Row("certificate missing", certificate(None), {**BROKEN, SHOW: 1}, "<CERT>"),
    Row("certificate empty", certificate(b""), {**BROKEN, SHOW: 1}, "the file is empty"),
    Row("certificate a directory", certificate(b"directory"), {HOURLY: 255, RENEW: 1, VERIFY: 1}, "<CERT>"),
    Row("certificate that cannot be read", looping, {**BROKEN, SHOW: 1}, "<CERT>"),
    Row("certificate garbage", certificate(b"garbage"), {**BROKEN, SHOW: 1}, 'no "BEGIN CERTIFICATE" block found'),
    Row("certificate in DER", certificate(make().der), {HOURLY: 255}, "looks like DER, expected PEM"),
    Row("certificate cut off", certificate(make().pem[:300]), {**BROKEN, SHOW: 1}, "<CERT>"),
    Row("certificate of another key", certificate(make_for(20).pem), {RENEW: 1}, "<KEY>"),
    Row(
        "certificate expired",
        lambda s: issue(s.device, s.device.certificate, -1),
        {HOURLY: 255, RENEW: 1},
        "one-time password",
    ),
    Row(
        "certificate not yet valid",
        lambda s: issue(s.device, s.device.certificate, 90, not_before_offset_s=86_400),
        {HOURLY: 255, RENEW: 1},
        "the clock is wrong",
    ),
    Row("key missing", key(None), {RENEW: 1}, "<KEY>"),
    Row("key encrypted", key(b"encrypted"), {RENEW: 1}, "<KEY>"),
    Row("key garbage", key(b"garbage"), {RENEW: 1}, "<KEY> holds no private key"),
    Row("key of another certificate", other_key, {RENEW: 1}, "<KEY>"),
    Row(
        "CSR of another key",
        other_request,
        {"tedge-cert-renew --csr-path <RUN>/other.csr c8y": 1},
        "the CSR <RUN>/other.csr was made with another key than the one of this device",
    ),
    Row("candidate garbage", candidate(b"garbage"), {VERIFY: 3}, "holds no certificate in PEM"),
    Row("candidate of another key", candidate(make_for(90).pem), {VERIFY: 3}, "for the key of this device"),
    Row("candidate of another name", candidate(name="another-device"), {VERIFY: 3}, "issued to another-device"),
    Row("candidate already expired", candidate(days=-1), {VERIFY: 3}, "it expired"),
    Row("candidate that begins later", candidate(not_before_offset_s=86_400), {VERIFY: 1}, "the clock is wrong"),
]
