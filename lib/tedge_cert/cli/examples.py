# SPDX-License-Identifier: Apache-2.0
"""Examples of each command that a person types, for its help and its manual page."""

EXAMPLES = {
    "tedge": {
        "tedge cert status": "see how the device is",
        "tedge cert renew --help": "read about one command",
    },
    "tedge cert create": {
        "sudo tedge cert create --device-id sensor-0815": "make a key and a self-signed certificate",
        "tedge cert upload c8y --user anna": "then make the tenant trust it",
    },
    "tedge cert create-csr": {
        "sudo tedge cert create-csr --device-id sensor-0815 --output-path /root/sensor-0815.csr": (
            "write a request for another authority"
        ),
    },
    "tedge cert download": {
        "sudo tedge cert download c8y --device-id sensor-0815": "print the registration link, and wait",
        "sudo tedge cert download c8y --device-id sensor-0815 --prompt": "ask for the one-time password",
    },
    "tedge cert needs-renewal": {
        "tedge cert needs-renewal c8y && sudo tedge cert renew c8y": "renew only a certificate that is due",
    },
    "tedge cert remove": {
        "sudo tedge cert remove c8y": "give the certificate and the key up, after a question",
    },
    "tedge cert renew": {
        "sudo tedge cert renew c8y && sudo tedge reconnect c8y": "renew today, and use the new certificate",
        "sudo tedge cert renew c8y --profile other": "renew the certificate of a profile",
        "sudo tedge cert renew c8y --ca self-signed": "sign the new certificate on the device",
        "sudo tedge cert renew c8y --new-key && sudo tedge reconnect c8y": "change the private key too",
    },
    "tedge cert show": {
        "tedge cert show c8y": "see whose certificate it is, and until when",
        "tedge cert show c8y --new": "see the new one that waits",
    },
    "tedge cert status": {
        "tedge cert status": "see problems first, each with what to type",
        "tedge cert status c8y --json": "the same for a program",
    },
    "tedge cert upload": {
        "tedge cert upload c8y --user anna": "trust a self-signed certificate; asks for anna's password",
    },
    "tedge cert verify": {
        "sudo tedge cert verify c8y": "prove the new certificate and use it, or finish a switch",
    },
    "tedge completions": {
        "tedge completions bash | sudo tee /etc/bash_completion.d/tedge": "install the completion of a checkout",
    },
    "tedge config": {
        "sudo tedge config set c8y.url example.cumulocity.com": "say where the tenant is",
        "sudo tedge config set c8y.url other.example.com --profile other": "set up a second tenant",
        "sudo tedge config set certificate.validity.minimum_duration 45d": "renew earlier than by default",
        "tedge config list --doc": "read what each key means",
    },
    "tedge connect": {
        "sudo tedge connect c8y": "connect, and check the certificate every hour from now on",
        "tedge connect c8y --test": "test a connection",
        "sudo tedge connect c8y --profile other": "connect to a second tenant",
    },
    "tedge disconnect": {
        "sudo tedge disconnect c8y": "end the connection and the hourly check",
    },
    "tedge http": {
        "tedge http get /c8y/inventory/managedObjects": "ask the tenant for what this device may see",
    },
    "tedge cert create-key-hsm": {
        "sudo tedge cert create-key-hsm c8y": "make the private key in the only token there is",
    },
    "tedge hsm": {
        "sudo tedge hsm list-tokens": "see which tokens the PKCS#11 library reaches",
        "sudo tedge hsm create-key c8y pkcs11:token=gateway": "make the private key in a token",
        "sudo tedge hsm create-key --tpm c8y": "make the private key in the TPM, before the device is registered",
    },
    "tedge init": {
        "sudo tedge init": "create users and directories where systemd does not",
    },
    "tedge reconnect": {
        "sudo tedge reconnect c8y": "use a new certificate or changed settings",
        "sudo tedge reconnect c8y --offline": "apply changed settings without a network",
    },
}
"""By the words of the command: what to type, and what for. A test types them all."""
