# SPDX-License-Identifier: Apache-2.0
"""Run the unit tests inside a tree of Debian testing: its Python, its libraries, its mosquitto and OpenSSL.

Deprecation warnings are errors, in the tests and in every program that they start. Arguments go to pytest.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from system import package, trees
from system.container import forget
from system.overlay import Overlay

ROOT = Path(__file__).resolve().parents[2]
_NAME = "tedge-next"
_SITE = Path("/usr/lib/python3/dist-packages")
_OPTIONS = (
    "--quiet",
    f"--machine={_NAME}",
    "--register=no",
    "--keep-unit",
    "--as-pid2",
    "--console=pipe",
    "--timezone=off",
)
_TESTS = ("tests/unit", "--ignore=tests/unit/tenant_model")
# What testing will take away. No library that we use needs an exception; it would stand here, with its module.
_DEPRECATIONS = ("error::DeprecationWarning", "error::PendingDeprecationWarning")
_OF_CRYPTOGRAPHY = "cryptography.utils.CryptographyDeprecationWarning"
# It warns of what a certificate of others has, too; the product takes it for one that cannot be read when it no longer
# loads.
_IN_TESTS = (f"error::{_OF_CRYPTOGRAPHY}", f"ignore:Parsed a serial number:{_OF_CRYPTOGRAPHY}")


def environment() -> dict[str, str]:
    """Return the variables that every program in the tree gets."""
    return {
        "LC_ALL": "C.UTF-8",
        "PYTHONWARNINGS": ",".join(_DEPRECATIONS),
        # The checkout is read-only there, and each program that the tests start would compile the library again.
        "PYTHONPYCACHEPREFIX": "/var/cache/bytecode",
        "TEDGE_TEST_CACHE": "/var/cache/tests",
    }


def bindings() -> list[str]:
    """Return the options that show the checkout, and what Debian does not have, in the tree."""
    spec = find_spec("amqtt")
    if spec is None or spec.origin is None:
        raise SystemExit("amqtt is missing: run tests/prepare")
    return [f"--bind-ro={ROOT}", f"--bind-ro={Path(spec.origin).parent}:{_SITE / 'amqtt'}"]


def main() -> int:
    """Run pytest in the tree; return its exit code."""
    arguments = sys.argv[1:] or [*_TESTS, "-n", str(2 * (os.cpu_count() or 1)), "--dist", "worksteal"]
    with TemporaryDirectory(prefix="tedge-next-") as name:
        tree = Overlay(trees.units(package.build()), Path(name))
        tree.prepare()
        # Each device gets its own when it boots, which this tree does not.
        (tree.upper / "etc").mkdir()
        (tree.upper / "etc/machine-id").write_text(f"{uuid4().hex}\n")
        given = [f"--setenv={key}={value}" for key, value in environment().items()]
        warned = [f"-W{each}" for each in (*_DEPRECATIONS, *_IN_TESTS)]
        pytest = ["python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", *warned, *arguments]
        place = [f"--directory={tree.root}", f"--chdir={ROOT}"]
        argv = tree.around(["systemd-nspawn", *_OPTIONS, *bindings(), *given, *place, *pytest])
        variables = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_LOCK": "0"}
        try:
            return subprocess.run(argv, env=variables, check=False).returncode
        finally:
            forget(_NAME)


if __name__ == "__main__":
    sys.exit(main())
