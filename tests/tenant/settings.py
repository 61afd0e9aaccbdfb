# SPDX-License-Identifier: Apache-2.0
"""What can be set while the tenant runs."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from tenant.faults import REFUSALS, FaultList

DAY_S = 86_400
CHOICES = {
    "est_format": ("ber", "der", "raw-der", "pem", "pem-pkcs7"),
    "est_order": ("leaf-first", "leaf-last"),
    "est_status": (200, 201),
    "revoked_answer": REFUSALS,
}


@dataclass
class Settings:
    """Every setting with its default; `faults` is kept beside them, in a `FaultList`."""

    # Certificates of devices.
    lifetime_s: int = 365 * DAY_S
    not_before_offset_s: int = -300
    intermediate: bool = False  # issue from the intermediate instead of the root
    trust_intermediate: bool = True  # False: a device must send the intermediate with its leaf
    # Answers of EST.
    est_format: str = "ber"
    est_chain: bool = False
    est_order: str = "leaf-first"
    est_status: int = 200
    est_columns: int = 64  # 0: one line, without a final newline
    est_newline: str = "\n"
    est_content_type: str = "application/pkcs7-mime; smime-type=certs-only"
    est_strict: bool = True  # refuse the request forms that libest refuses
    # Tokens.
    token_lifetime_s: int = 3600
    token_epoch: int = 0  # a token of another epoch is refused
    # Who may do what.
    revoked_answer: str = "connack"
    operator_user: str = "admin"
    operator_password: str = "secret"


class UnknownSettingError(ValueError):
    """A setting that does not exist, or a value that it cannot take."""


def _check(name: str, value: object, default: object) -> None:
    if type(value) is not type(default):
        raise UnknownSettingError(f"{name}: expected {type(default).__name__}, got {value!r}")
    if name in CHOICES and value not in CHOICES[name]:
        raise UnknownSettingError(f"{name}: expected one of {', '.join(map(str, CHOICES[name]))}, got {value!r}")


def merge(settings: Settings, faults: FaultList, changes: dict[str, Any]) -> None:
    """Apply `changes`, all of them or none."""
    known = {field.name: field.default for field in fields(Settings)}
    for name, value in changes.items():
        if name == "faults":
            FaultList().replace(value)
        elif name in known:
            _check(name, value, known[name])
        else:
            raise UnknownSettingError(f"{name}: unknown setting; known: {', '.join(sorted([*known, 'faults']))}")
    for name, value in changes.items():
        if name == "faults":
            faults.replace(value)
        else:
            setattr(settings, name, value)


def show(settings: Settings, faults: FaultList) -> dict[str, Any]:
    """Every setting as JSON can hold it."""
    return {**asdict(settings), "faults": faults.show()}
