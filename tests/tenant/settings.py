# SPDX-License-Identifier: Apache-2.0
"""What can be set while the tenant runs."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tenant.faults import REFUSALS, FaultList

DAY_S = 86_400
TENANT_MANAGER = "ROLE_TENANT_MANAGEMENT_ADMIN"
DEVICE_ADMIN = "ROLE_DEVICE_CONTROL_ADMIN"
ROLES = (TENANT_MANAGER, "ROLE_TENANT_MANAGEMENT_READ", DEVICE_ADMIN, "ROLE_INVENTORY_ADMIN", "ROLE_ALARM_ADMIN")
CHOICES = {
    "certificate_authority_feature": ("default", "on", "off"),
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
    # So many re-enrolments in any `est_limit_s` seconds, 0 for any number; others get Retry-After.
    est_limit: int = 0
    est_limit_s: int = 1
    est_retry_after_s: int = 120
    # Tokens.
    token_lifetime_s: int = 3600
    token_epoch: int = 0  # a token of another epoch is refused
    device_access_token: bool = True  # False: there is no such service, on the port of client certificates either
    # The certificate authority of the tenant: whether devices may use it at all, and what it is like.
    certificate_authority_feature: str = "on"  # default: as the platform has it, which is off
    authority_exists: bool = True
    authority_left_days: int = 1095
    microservice: str = ""  # the name of one that signs what is posted to /service/NAME/renew
    # Who may do what.
    revoked_answer: str = "connack"
    operator_user: str = "admin"
    operator_password: str = "secret"
    operator_roles: list[str] = field(default_factory=lambda: list(ROLES))
    device_users: dict[str, str] = field(default_factory=dict)  # user or tenant/user of a device: password
    management_user: str = "manager"  # of the management tenant
    management_password: str = "secret"


class UnknownSettingError(ValueError):
    """A setting that does not exist, or a value that it cannot take."""


def _check(name: str, value: object, default: object) -> None:
    if type(value) is not type(default):
        raise UnknownSettingError(f"{name}: expected {type(default).__name__}, got {value!r}")
    if name in CHOICES and value not in CHOICES[name]:
        raise UnknownSettingError(f"{name}: expected one of {', '.join(map(str, CHOICES[name]))}, got {value!r}")


def merge(settings: Settings, faults: FaultList, changes: dict[str, Any]) -> None:
    """Apply `changes`, all of them or none."""
    known = asdict(Settings())
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
