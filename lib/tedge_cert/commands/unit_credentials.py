# SPDX-License-Identifier: Apache-2.0
"""What a unit is given by systemd's credentials (systemd.exec(5)): who the device is, its password, its tenant."""

import os
from pathlib import Path

from tedge_cert.errors import CredentialError

DEVICE_ID = "tedge.device-id"
PASSWORD = "tedge.one-time-password"  # noqa: S105 (the name of the credential)
URL = "tedge.c8y-url"
STORES = (Path("/etc/credstore"), Path("/etc/credstore.encrypted"))
# Cumulocity takes one-time passwords of 8 to 32 characters.
_LEAST, _MOST = 8, 32


def read(name: str) -> str:
    """The text of a credential without the line break of an editor; empty if the unit was given none."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return ""
    try:
        return Path(directory, name).read_bytes().decode().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CredentialError(f"cannot read the credential {name}: {reason}") from error


def password() -> str:
    """The one-time password; raises CredentialError without one, or for what cannot be one."""
    found = read(PASSWORD)
    if not found:
        raise CredentialError(
            f"there is no one-time password: give it as the credential {PASSWORD}, for instance in "
            f"{STORES[0]}/{PASSWORD}"
        )
    if not (_LEAST <= len(found) <= _MOST and found.isprintable()):
        raise CredentialError(
            f"the credential {PASSWORD} is no one-time password: expected {_LEAST} to {_MOST} characters on one line, "
            f"got {len(found)}; an encrypted one needs LoadCredentialEncrypted= (tedge-first-boot(7))"
        )
    return found
