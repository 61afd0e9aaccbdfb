# SPDX-License-Identifier: Apache-2.0
"""Keys of the device itself and of the certificates made for it."""

from tedge_cert.config.keys import HOURLY, PIN_IN_CLEAR, Key
from tedge_cert.config.keys.kinds import parse_pin, parse_plain_path, parse_tcti
from tedge_cert.config.values import parse_device_id, parse_duration, parse_flag, parse_path, parse_text

_ROTATION = (
    "It is used together with its certificate, and not before. Set it where a policy asks for it: copies of the key "
    "become useless with each renewal, and a power cut between two renames leaves the bridge down until the next hour. "
    "The section A NEW KEY WITH EACH RENEWAL of tedge-cert-renewer(7) says when it is not possible."
)

DEVICE: dict[str, Key] = {
    "device.id": Key(
        parse_device_id, None,
        "Identity of the device, if it has no certificate; otherwise the common name of its certificate.",
        "sensor-0815"),
    "device.key_path": HOURLY["device.key_path"],
    "device.cert_path": HOURLY["device.cert_path"],
    "device.csr_path": HOURLY["device.csr_path"],
    "device.key_uri": HOURLY["device.key_uri"],
    "device.key_pin": Key(
        parse_pin, None, "PIN of the token that device.key_uri names.", "123456", note=PIN_IN_CLEAR),
    "device.cryptoki.mode": HOURLY["device.cryptoki.mode"],
    "device.cryptoki.module_path": Key(
        parse_plain_path, None, "PKCS#11 library of the security module; for the mode module.",
        "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"),
    "device.cryptoki.pin": Key(
        parse_pin, "123456", "PIN of tokens that have none of their own set.", "123456", note=PIN_IN_CLEAR),
    "device.cryptoki.pin_path": Key(
        parse_plain_path, None,
        "File with the PIN of the token, in one line; owner root, group mosquitto, mode 0640.",
        "/etc/tedge/gateway-pin", note="It is used in place of device.key_pin and device.cryptoki.pin."),
    "device.cryptoki.uri": Key(
        parse_text, None, "PKCS#11 URI of the token or key that is used unless device.key_uri names one.",
        "pkcs11:token=gateway"),
    "device.cryptoki.socket_path": Key(
        parse_path, "/run/tedge-p11-server/tedge-p11-server.sock", "Socket of the service of the mode socket.",
        "/run/tedge-p11-server/tedge-p11-server.sock"),
    "device.tpm.tcti": Key(
        parse_tcti, "device:/dev/tpmrm0", "How the TPM is reached that holds the private key: a TCTI of tpm2-tss.",
        "tabrmd"),
    "device.type": Key(parse_text, "thin-edge.io", "Type that the device is created with in the cloud.", "gateway"),
}  # fmt: skip

CERTIFICATE: dict[str, Key] = {
    "certificate.validity.requested_duration": Key(
        parse_duration, "365d",
        "Requested validity duration for a new certificate. \n"
        "Note: The CA might return certificates valid for period shorter than requested", "365d"),
    "certificate.validity.minimum_duration": HOURLY["certificate.validity.minimum_duration"],
    "certificate.organization": Key(
        parse_text, "Thin Edge", "Organization name used for certificate signing requests. ", "ACME"),
    "certificate.organization_unit": Key(
        parse_text, "Device", "Organization unit used for certificate signing requests. ", "IoT"),
    "certificate.rotate_key": Key(
        parse_flag, False, "Whether each renewal also makes a new private key.", "true", note=_ROTATION),
    "c8y.certificate.rotate_key": Key(
        parse_flag, None, "certificate.rotate_key for c8y, where a profile differs.", "true",
        ("certificate.rotate_key",)),
}  # fmt: skip
