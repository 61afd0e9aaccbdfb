# SPDX-License-Identifier: Apache-2.0
"""What a full check that found nothing to do leaves for the hours until it is due, which ``hour`` reads.

The hourly check uses this module, so nothing slow is imported.
"""

import os
import sys

from tedge_cert import journal
from tedge_cert.config import auth_method
from tedge_cert.config.settings import Config
from tedge_cert.hourly import memo
from tedge_cert.hourly.validity import Validity

# The facts of a file that changed so shortly before might stay the same if it changed again: some file systems count
# time in steps of this length.
SETTLED_NS = 2 * 10**9
LIBRARY = __file__.rpartition("/")[0]


def leave(
    settings: Config, files: tuple[str, str], validity: Validity, due: tuple[float, str], began_ns: tuple[int, int]
) -> None:
    """Leave what was found at ``began_ns`` (see ``hour.clocks``): ``due`` is how long before its end, and in words;
    ``files`` are certificate and key.

    Nothing is left for a command line that is not a unit's, and where it is in doubt; whatever goes wrong costs the
    next hour a full check.
    """
    arguments, environment = sys.argv[1:], dict(os.environb)
    file = memo.file_for(arguments, environment)
    if not file:
        return
    lead, threshold = due
    # The library counts too, because another version may judge otherwise.
    watched = [LIBRARY, *files, *settings.trees, *auth_method.files(settings)]
    try:
        facts = [(memo.facts_of(each), each) for each in watched]
        changed_ns = [int(each.rpartition(":")[2]) for each, _ in facts if ":" in each]
        if max(changed_ns) > began_ns[0] - SETTLED_NS or not all(each.startswith("/") for each in watched):
            return
        lines = [
            memo.key_of(arguments, environment),
            *(str(each) for each in began_ns),
            # A second early: at the due time itself a full check decides.
            str(int(validity.not_after_s - lead) - 1),
            str(validity.not_after_s),
            files[0],
            threshold,
            *(" ".join(each) for each in facts),
            memo.END,
        ]
        _write(file, "\n".join(lines).encode())
    except (OSError, ValueError) as error:
        journal.debug(f"the next hour makes a full check: {error}")


def _write(file: str, content: bytes) -> None:
    """Replace the file in one step. Nothing is synced: the directory does not outlive the machine's run either."""
    temporary = f"{file}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        # Of a run that was killed, or is at work now: the next hour finds the place free.
        os.unlink(temporary)  # noqa: PTH108 (pathlib is not imported in the hourly path)
        return
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    os.rename(temporary, file)  # noqa: PTH104
