# SPDX-License-Identifier: Apache-2.0
"""Find out why mosquitto does not start: its own last words, and who has the port of its listener. Runs as root."""

import re
from pathlib import Path

from tedge_cert.bridge.conf_files import CONF_D, MAIN
from tedge_cert.disk import files
from tedge_cert.errors import TedgeCertError
from tedge_cert.processes import run

UNIT = "mosquitto.service"
# Where Debian's configuration has it log; what it says before it has read that goes to the journal.
LOG = Path("/var/log/mosquitto/mosquitto.log")
_LINES, _CHARACTERS, _LOG_BYTES = 3, 200, 1 << 26
_TAKEN = "Address already in use"


def sentence(since_s: int, port: str, instance: str) -> str:
    """Return why mosquitto has not started since ``since_s``, in its own words, and what to type; empty without any.

    ``port`` is that of its listener; ``instance`` is named as on a command line.
    """
    words = _words(since_s)
    if not words:
        return ""
    told, again = f"mosquitto does not start: {'; '.join(words)}", f"then `sudo tedge connect {instance}`"
    if not any(_TAKEN in each for each in words):
        return f"{told}; `sudo journalctl -u mosquitto` and {LOG} have more"
    if own_file := _own_file(port):
        return (
            f"{told}: {own_file} has a listener on port {port} already; to use that one, "
            f"`sudo tedge config set mqtt.bind.enabled false`, {again}"
        )
    other = " && ".join(f"sudo tedge config set mqtt.{each}.port {int(port) + 1}" for each in ("bind", "client"))
    return f"{told}: port {port} is taken by {_holder(port)}; stop that, or use another port: `{other}`, {again}"


def _words(since_s: int) -> list[str]:
    said = list(dict.fromkeys([*_of_journal(since_s), *_of_log(since_s)]))
    errors = [each for each in said if "error" in each.lower()]
    return [each[:_CHARACTERS] for each in (errors or said)[-_LINES:]]


def _of_journal(since_s: int) -> list[str]:
    # Any local user can log in the name of mosquitto; journald adds only the fields with an underscore itself.
    options = ["--quiet", "--no-pager", f"--since=@{since_s}", "--lines=20", "--output=cat", f"_SYSTEMD_UNIT={UNIT}"]
    return [_text(line) for line in _output(["journalctl", *options]).splitlines()]


def _of_log(since_s: int) -> list[str]:
    """Return the lines of the log since then; mosquitto may write there, so no link is followed."""
    try:
        lines = files.read_regular(LOG, _LOG_BYTES).decode("utf-8", "replace").splitlines()[-20:]
    except OSError:
        return []
    stamped = (re.match(r"(\d{9,11}): ", line) for line in lines)
    return [_text(line) for line, at in zip(lines, stamped, strict=True) if at is None or int(at[1]) >= since_s]


def _text(line: str) -> str:
    return re.sub(r"^[\dT:+-]+: ", "", line.strip())


def _own_file(port: str) -> str:
    """Return the file of mosquitto's configuration, not of ours, that has a listener on ``port``."""
    for path in [MAIN, *sorted(CONF_D.glob("*.conf"))]:
        if path.is_symlink():
            continue
        try:
            lines = files.read_regular(path).decode("utf-8", "replace").splitlines()
        except OSError:
            continue
        if any(each.split()[:2] in (["listener", port], ["port", port]) for each in lines):
            return str(path)
    return ""


def _holder(port: str) -> str:
    found = re.search(r'\("([^"]+)",pid=(\d+)', _output(["ss", "-Hltnp", f"sport = :{port}"]))
    if found is None:
        return "another program"
    name, pid = found.groups()
    try:
        unit = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace").strip().rpartition("/")[2]
    except OSError:
        unit = ""
    return f"{name} (process {pid}{f', {unit}' if unit.endswith('.service') else ''})"


def _output(command: list[str]) -> str:
    try:
        return run(command).stdout
    except TedgeCertError:
        # The words of the others are worth having without these.
        return ""
