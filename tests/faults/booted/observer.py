# SPDX-License-Identifier: Apache-2.0
"""Run commands on a device as root, and list what each of them did that root must not do for user tedge.

This program is copied to the device. It reads a JSON object from stdin (`commands`, `canaries`, `secret`,
`timeout_s`) and writes a list of findings to stdout. It needs Python 3.11 and nothing else.
"""

import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# What belongs to tedge: any change is allowed, but nothing there may become or stay root's.
TEDGES = (
    "/etc/tedge/device-certs",
    "/var/lib/tedge-cert-renewer",
    "/run/tedge-cert-renewer",
    "/home/tedge",
    "/tmp/tedge",
)
PLACES = ("/boot", "/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var")
# What systemd, dpkg and the broker write for themselves.
LEFT_OUT = re.compile(
    "/var/(log|tmp|cache|lib/(systemd|mosquitto|dpkg|apt|private|dbus))"
    "|/run/(systemd|udev|log|user|mosquitto|lock|dbus|credentials|cloud-init|initctl|host)"
    "|/(root|usr)/.*__pycache__|/tmp/(systemd-private|snap)[^/]*|/etc/ssl/certs"
    "|/usr/share/(common-licenses|doc|i18n|locale|man|perl|terminfo|zoneinfo)"
)
# What root writes for its four tasks, always as its own and for no other user to write.
ROOTS_TASKS = re.compile(
    r"/etc/tedge/tedge\.toml|/etc/tedge/mosquitto-conf/(tedge-mosquitto|c8y(@[\w-]+)?-bridge)\.conf"
    r"|/etc/mosquitto/conf\.d/(00|50)-tedge-[\w@.-]+|/etc/tedge/(openssl\.(cnf|env)|token-pin)|/run/tedge-(token\.env|config\.lock)"
    r"|/etc/systemd/system/[\w.-]+\.wants(/(tedge-cert-renewer[\w@.-]*\.timer|mosquitto\.service))?"
    r"|/etc/systemd/system/tedge-cert-renewer[\w@.-]*\.d(/[\w.-]+)?|/etc/credstore(\.encrypted)?/tedge\.one-time-password"
)


@dataclass(frozen=True)
class Facts:
    """What is compared of a file; the rest of a directory is in its entries."""

    kind: int
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    changed_ns: int
    target: str
    device: int


def facts_of(path: str) -> Facts | None:
    """Return the facts of a file, of a link itself; None if there is none."""
    try:
        found = os.lstat(path)
        target = str(Path(path).readlink()) if stat.S_ISLNK(found.st_mode) else ""
    except FileNotFoundError:
        return None
    kind, mode = stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode)
    if kind == stat.S_IFDIR:
        return Facts(kind, mode, found.st_uid, found.st_gid, 0, 0, 0, "", found.st_dev)
    sizes = found.st_nlink, found.st_size, found.st_mtime_ns
    return Facts(kind, mode, found.st_uid, found.st_gid, *sizes, target, found.st_dev)


def snapshot() -> dict[str, Facts]:
    """Return the facts of all files that are looked at."""
    found: dict[str, Facts] = {}
    for place in PLACES:
        device = os.lstat(place).st_dev
        for directory, names, files in os.walk(place):
            kept = []
            for name in (*names, *files):
                path = f"{directory}/{name}"
                facts = None if LEFT_OUT.match(path) else facts_of(path)
                if facts is None:
                    continue
                found[path] = facts
                # What the kernel mounts below holds no files of root's; the canaries have a file system of their own.
                if facts.device == device or path == "/srv/canary":
                    kept.append(name)
            names[:] = [each for each in names if each in kept]
    return found


def readings(canaries: list[str]) -> dict[str, int]:
    """Return when each canary was read last; its file system notes every reading."""
    return {each: os.lstat(each).st_atime_ns for each in canaries}


def processes() -> dict[str, str]:
    """Return root's processes that have to do with tedge, by number."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if path.stat().st_uid == 0 and "tedge" in words and path.name != str(os.getpid()):
                found[path.name] = words
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended.
    return found


def is_tedges(path: str) -> bool:
    """Whether the path lies in a directory of tedge's."""
    return any(path.startswith(f"{each}/") for each in TEDGES)


def judge(path: str, before: Facts | None, after: Facts | None, secret: bytes) -> str:
    """Return what is wrong with a change; empty if nothing is."""
    if is_tedges(path):
        was_roots = before is not None and before.uid == 0
        faults = {"root made it": after is not None and after.uid == 0 and not was_roots}
    elif ROOTS_TASKS.fullmatch(path):
        # A configuration that thin-edge or a former version left is tedge's until it is written.
        owner = 0 if before is None else before.uid
        faults = {
            "was given away": after is not None and after.uid not in (0, owner),
            "others may write it": after is not None and after.kind != stat.S_IFLNK and after.mode & 0o022 != 0,
        }
    else:
        return _change(before, after)
    faults["holds the secret"] = after is not None and holds(path, after, secret)
    return next((name for name, is_so in faults.items() if is_so), "")


def _change(before: Facts | None, after: Facts | None) -> str:
    """Return what happened to a file that root must not touch."""
    if before is None or after is None:
        return "was made" if before is None else "was removed"
    if (before.uid, before.gid) != (after.uid, after.gid):
        return f"was given to {after.uid}:{after.gid}"
    return "got another mode" if before.mode != after.mode else "was written"


def holds(path: str, facts: Facts, secret: bytes) -> bool:
    """Whether a regular file holds the secret."""
    return facts.kind == stat.S_IFREG and secret in Path(path).read_bytes()


def run(command: str, timeout_s: float) -> tuple[bytes, str]:
    """Return all output of the command, and what is wrong with its end."""
    words = ["timeout", "--kill-after=5", f"{timeout_s:g}", "prlimit", "--as=800000000", "sh", "-c", command]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode in (124, 137):
        return done.stdout, f"did not end within {timeout_s:g} s"
    return done.stdout, "showed a traceback" if b"Traceback (most recent" in done.stdout else ""


def observe(
    command: str, before: dict[str, Facts], canaries: list[str], secret: str, timeout_s: float
) -> tuple[list[str], dict[str, Facts]]:
    """Run one command; return what it did wrong, and the facts of all files afterwards."""
    read, at_work = readings(canaries), processes()
    output, wrong = run(command, timeout_s)
    after = snapshot()
    findings = [wrong] if wrong else []
    if secret.encode() in output:
        findings.append("printed the secret")
    findings += [f"read {each}" for each, at_ns in readings(canaries).items() if at_ns != read[each]]
    for path in sorted({*before, *after}):
        if before.get(path) != after.get(path):
            fault = judge(path, before.get(path), after.get(path), secret.encode())
            findings += [f"{path} {fault}"] if fault else []
    findings += [f"left running: {words}" for number, words in processes().items() if number not in at_work]
    return [f"{command}: {each}" for each in findings], after


def main() -> None:
    """Observe each command of the request in turn."""
    asked = json.load(sys.stdin)
    found: list[str] = []
    now = snapshot()
    for command in asked["commands"]:
        findings, now = observe(command, now, asked["canaries"], asked["secret"], asked["timeout_s"])
        found += findings
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
