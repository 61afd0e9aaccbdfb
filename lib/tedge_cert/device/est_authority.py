# SPDX-License-Identifier: Apache-2.0
"""The values that describe a certificate authority of the operator's; they are made in ``connection_settings``."""

from dataclasses import dataclass
from pathlib import Path

from tedge_cert.device.connections import KeyPair
from tedge_cert.net.server import Server


@dataclass(frozen=True, kw_only=True)
class EstServer(Server):
    """The server of a certificate authority that speaks EST; ``base`` is its path up to the operation."""

    base: str


@dataclass(frozen=True)
class EstAuthority:
    """A certificate authority of the operator's, and what the device shows it."""

    enrolment: EstServer
    # It may take certificates at another address.
    renewal: EstServer
    # The user of the one-time password.
    username: str
    uses_basic: bool
    uses_challenge: bool
    # The factory certificate; None where the device has none.
    factory: KeyPair | None
    # The file with user and password that go with the certificate at each renewal; it is read when they are shown.
    credentials_path: Path | None
