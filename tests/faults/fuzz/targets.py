# SPDX-License-Identifier: Apache-2.0
"""What reads bytes of others, each with the good streams to begin from; whatever escapes but its own error is a bug."""

from collections.abc import Callable
from dataclasses import dataclass

from faults.fuzz import authority, certificates, messages, settings


@dataclass(frozen=True)
class Target:
    """One reader; `weight` is its share of the cases."""

    seeds: tuple[bytes, ...]
    read: Callable[[bytes], None]
    weight: int


TARGETS: dict[str, Target] = {
    "est-body": Target(certificates.BODIES, certificates.read_body, 20),
    "certificate-der": Target(certificates.DER, certificates.read_der, 30),
    "certificate-pem": Target(certificates.PEM, certificates.read_pem, 15),
    "refusal": Target(messages.REFUSALS, messages.read_refusal, 8),
    "est-refusal": Target(authority.REFUSALS, authority.read_refusal, 5),
    "est-issuers": Target(authority.ISSUERS, authority.read_issuers, 8),
    "waiting-request": Target(authority.REQUESTS, authority.read_waiting, 3),
    "token-answer": Target(messages.TOKENS, messages.read_token, 8),
    "bridge-message": Target(messages.HEARD, messages.hear, 8),
    "tedge-toml": Target(settings.FILES, settings.read_file, 8),
    "tedge-toml-change": Target(settings.FILES, settings.change_file, 1),
    "state": Target(settings.STATES, settings.read_state, 5),
    "value": Target(settings.VALUES, settings.read_value, 10),
}
