# SPDX-License-Identifier: Apache-2.0
"""Run the recipe of a step within the process of the test, so that clocks and faults can be set."""

import runpy
import sys

from tedge_cert.device.instance import Instance
from unit.local_device import ROOT


def verify(instance: Instance) -> int:
    """Run step 3."""
    return _run("tedge-cert-verify", *_words(instance))


def clean_up(instance: Instance) -> int:
    """Run step 4."""
    return _run("tedge-cert-cleanup", *_words(instance))


def renew(instance: Instance, csr: object = None, by_unit: bool = False, ca: str = "c8y") -> int:
    """Run step 2, with the options of the unit or of a person."""
    options = ["--systemd"] if by_unit else []
    options += [f"--csr-path={csr}"] if csr else []
    return _run("tedge-cert-renew", *_words(instance), "--ca", ca, *options)


def _words(instance: Instance) -> list[str]:
    return [*(instance.words.split() if instance.cloud else []), "--config-dir", instance.config.directory]


def _run(name: str, *words: str) -> int:
    before, sys.argv = sys.argv, [name, *words]
    try:
        return int(runpy.run_path(str(ROOT / "bin" / name), run_name="recipe")["main"]())
    finally:
        sys.argv = before
