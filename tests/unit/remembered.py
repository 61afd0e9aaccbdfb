# SPDX-License-Identifier: Apache-2.0
"""A device with the memo of its last full check."""

import os
import posix
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tedge_cert.hourly import memo
from tedge_cert.steps import needs_renewal
from unit.certificates import make_for

HOUR_NS = 3_600 * 10**9
# So much later the check is made: the files that a test makes just before have settled.
AHEAD_NS = 10 * 10**9
UNIT = ("--systemd", "c8y")
SETTINGS = '[c8y]\nauth_method = "auto"\n'


@dataclass
class Remembered:
    """The device, and the world as its next hour sees it: each part can be changed."""

    directory: Path
    monkeypatch: pytest.MonkeyPatch
    arguments: list[str]
    began_ns: tuple[int, int]
    environment: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def certificate(self) -> Path:
        """The active certificate."""
        return self.directory / "cert.pem"

    @property
    def toml(self) -> Path:
        """The configuration."""
        return self.directory / "tedge.toml"

    @property
    def library(self) -> Path:
        """Return the directory that stands for the library."""
        return self.directory / "library"

    @property
    def file(self) -> Path:
        """Return the memo."""
        return Path(memo.file_for(self.arguments, self.environment))

    def full_check(self) -> int:
        """Return what the condition answers without the memo."""
        question = needs_renewal.parse(self.arguments)
        assert question is not None
        return needs_renewal.full_check(question)

    def is_quiet(self, after_ns: int = HOUR_NS, set_by_ns: int = 0, booted_ns: int = 0) -> bool:
        """Return whether the memo is enough this long after it was written, with the clock set by this much."""
        now = (self.began_ns[0] + after_ns + set_by_ns, self.began_ns[1] + after_ns - booted_ns)
        self.monkeypatch.setattr(memo, "clocks", lambda: now)
        self.monkeypatch.setattr(posix, "environ", self.environment)
        return memo.is_quiet(self.arguments)


def remember(directory: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...] = UNIT) -> Remembered:
    """Return a device that is due in 64 days minus the spread, after a full check."""
    variables = {"TEDGE_CONFIG_DIR": str(directory), "TEDGE_RUN_PATH": str(directory / "run"), "RENEWAL_SPREAD": "20%"}
    for name in [each for each in os.environ if each.startswith("TEDGE_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["tedge-cert-needs-renewal", *words])
    now_ns, since_boot_ns = memo.clocks()
    made = Remembered(directory, monkeypatch, list(words), (now_ns + AHEAD_NS, since_boot_ns + AHEAD_NS))
    monkeypatch.setattr(memo, "clocks", lambda: made.began_ns)
    monkeypatch.setattr(memo, "_LIBRARY", str(made.library))
    (directory / "run" / memo.DIRECTORY).mkdir(parents=True)
    (made.library / "steps").mkdir(parents=True)
    made.toml.write_text(f'device.cert_path = "{made.certificate}"\n{SETTINGS}[c8y.profiles.p]\n')
    made.certificate.write_bytes(make_for(100).pem)
    made.environment.update({name.encode(): value.encode() for name, value in variables.items()})
    return made
