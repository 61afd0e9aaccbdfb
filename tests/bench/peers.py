# SPDX-License-Identifier: Apache-2.0
"""One hourly check as a process of this machine, beside others that look at a certificate, all in one run."""

import argparse
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import stage
from bench.figures import Series, table

BARE = "bare interpreter"
_PYTHON = "/usr/bin/python3"
_DAYS = 365
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class Peer:
    """A command, and what its runs took."""

    words: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    exits: tuple[int, ...] = (0,)
    cpu_ms: Series = field(default_factory=Series)
    wall_ms: Series = field(default_factory=Series)

    def run(self, is_counted: bool) -> None:
        """Run it once."""
        began = time.monotonic()
        process = subprocess.Popen(
            self.words,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - began
        if process.returncode not in self.exits:
            raise stage.UnexpectedResultError(f"{self.words}: {process.returncode}: {said.decode(errors='replace')}")
        if is_counted:
            self._add(used, wall_s)

    def _add(self, used: resource.struct_rusage, wall_s: float) -> None:
        self.cpu_ms.add((used.ru_utime + used.ru_stime) * 1e3)
        self.wall_ms.add(wall_s * 1e3)

    def instructions(self) -> str:
        """Millions of them in user space, counted; nothing where there is no valgrind, or it cannot run this."""
        if shutil.which("valgrind") is None:
            return ""
        counted = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *self.words]
        ended = subprocess.run(counted, env=self._environment, capture_output=True, text=True, check=False)
        found = re.search(r"Collected : (\d+)", ended.stderr)
        return f"{int(found[1]) / 1e6:.1f}" if found else ""

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **self.environment}


def install(directory: Path) -> Path:
    """Install executables and library as the package does, byte-code included; the directory of the executables."""
    home = directory / "programs"
    shutil.copytree(_CHECKOUT / "bin", home)
    shutil.copytree(_CHECKOUT / "lib/tedge_cert", home / "tedge_cert", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([_PYTHON, "-m", "compileall", "-q", str(home / "tedge_cert")], check=True)
    return home


def device(directory: Path) -> Path:
    """Make a configuration and a certificate; returns the path of the certificate."""
    certificate = directory / "device-certs/tedge-certificate.pem"
    certificate.parent.mkdir()
    (directory / "run/tedge-cert-renewer").mkdir(parents=True)
    (directory / "tedge.toml").write_text("")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            str(directory / "device-certs/tedge-private-key.pem"), "-out", str(certificate), "-days", str(_DAYS),
            "-subj", "/CN=bench"]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    return certificate


def peers(directory: Path) -> dict[str, Peer]:
    """Return ours, and those others that this machine has."""
    programs, certificate = install(directory), str(device(directory))
    settings = {
        "TEDGE_CONFIG_DIR": str(directory), "TEDGE_RUN_PATH": str(directory / "run"), "RENEWAL_SPREAD": "20%",
    }  # fmt: skip
    ours = [_PYTHON, "-S", str(programs / "tedge-cert-needs-renewal")]
    cleanup = [str(programs / "tedge-cert-cleanup"), "c8y"]
    found = {
        BARE: Peer([_PYTHON, "-I", "-S", "-c", "pass"]),
        "ours: condition": Peer([*ours, "--systemd", "c8y"], settings, (1,)),
        "ours: condition, the full check of once a day": Peer([*ours, "c8y"], settings, (1,)),
        "ours: cleanup after it": Peer(cleanup, {**settings, "SERVICE_RESULT": "exec-condition"}),
        "openssl x509 -checkend": Peer(
            ["openssl", "x509", "-checkend", str(30 * 86_400), "-noout", "-in", certificate]
        ),
    }
    others = {
        "tedge": ["tedge", "--config-dir", str(directory), "cert", "needs-renewal"],
        "step": ["step", "certificate", "needs-renewal", certificate],
        "certbot": ["certbot", "certificates", *(f"--{each}-dir={directory}" for each in ("config", "work", "logs"))],
    }
    for name, words in others.items():
        if shutil.which(name):
            found[" ".join(each for each in words if each[0] not in "-/")] = Peer(words, exits=(0, 1))
    return found


def await_settled(condition: Peer, directory: Path) -> None:
    """Run full checks until one leaves what the hours after it go by: files that were just made are looked at again."""
    until_s = time.monotonic() + 20
    while not (directory / "run/tedge-cert-renewer/c8y.hour").exists():
        if time.monotonic() > until_s:
            raise stage.UnexpectedResultError("the full check leaves nothing for the next hour")
        condition.run(is_counted=False)


def rows(measured: dict[str, Peer]) -> list[list[str]]:
    """Return the rows of the table."""
    bare = measured[BARE].cpu_ms.median
    return [
        [name, each.cpu_ms.show(), f"{each.cpu_ms.median / bare:.2f}", each.instructions(), each.wall_ms.show()]
        for name, each in measured.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=100, metavar="N", help="of each (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as name:
        measured = peers(Path(name))
        await_settled(measured["ours: condition"], Path(name))
        for number in range(arguments.runs + 1):
            for each in measured.values():
                each.run(is_counted=number > 0)
        head = ["one check, as a process", "CPU, ms", "of a bare one", "instructions, million", "wall time, ms"]
        print(table(head, rows(measured)))
    version = subprocess.run([_PYTHON, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"\nMedian (least to greatest) of {arguments.runs} rounds, one after the other in each. {version}. "
          f"Repeat: `PYTHONPATH=tests python3 -m bench.peers --runs {arguments.runs}`  ")  # fmt: skip
    print(stage.surroundings())


if __name__ == "__main__":
    main()
