# SPDX-License-Identifier: Apache-2.0
"""Which room may import which, and modules that the hourly path must not load."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from unit.certificates import Made, make_for
from unit.children import run
from unit.local_device import ROOT
from unit.steps.test_needs_renewal import device

SLOW = [
    "argparse",
    "re",
    "dataclasses",
    "typing",
    "datetime",
    "pathlib",
    "cryptography",
    "requests",
    "tomllib",
    "subprocess",
    "socket",
    "tedge_cert.config.keys.table",
    "tedge_cert.device.state",
    "tedge_cert.x509.provider",
]
# Modules that an hour with an error must not load either: there are many of these while a tenant is down.
SLOWEST = ["argparse", "cryptography", "requests", "subprocess", "tedge_cert.x509.provider"]


@pytest.mark.parametrize(
    ("certificate", "forbidden"),
    # With an expired one, timedatectl is asked whether the clock is to be trusted.
    [(make_for(100), SLOW), (make_for(3), SLOWEST), (make_for(-1), [each for each in SLOWEST if each != "subprocess"])],
)
def test_the_hourly_path_imports_nothing_slow(tmp_path: Path, certificate: Made, forbidden: list[str]) -> None:
    path = tmp_path / "cert.pem"
    path.write_bytes(certificate.pem)
    program = (
        "import sys\nfrom tedge_cert.steps import needs_renewal as condition\n"
        "question = condition.parse(['--systemd', 'c8y'])\ncondition.full_check(question)\n"
        f"sys.stdout.write(' '.join(name for name in {forbidden} if name in sys.modules))\n"
    )
    (tmp_path / "tedge.toml").write_text("")
    result = run(
        [],
        tmp_path,
        text=program,
        isolated=True,
        variables={"TEDGE_C8Y_DEVICE_CERT_PATH": str(path), "RENEWAL_SPREAD": "20%"},
    )
    assert str(path) in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("spelling", ["cert_path", "cert.path"])
def test_settings_cost_the_parser_and_no_more(tmp_path: Path, spelling: str) -> None:
    device(tmp_path, make_for(100))
    file = tmp_path / "tedge.toml"
    file.write_text(file.read_text().replace("cert_path", spelling))
    program = (
        "import sys\nfrom tedge_cert.steps import needs_renewal as condition\n"
        "condition.full_check(condition.parse(['--systemd', 'c8y']))\n"
        "sys.stdout.write(' '.join(n for n in ('tomllib', 'argparse', 'cryptography', 'pathlib', 'dataclasses') "
        "if n in sys.modules))\n"
    )
    result = run([], tmp_path, text=program, isolated=True)
    assert result.stdout == "tomllib"
    assert f"{tmp_path}/cert.pem is valid for" in result.stderr


def test_a_setting_is_read_without_what_other_commands_need(tmp_path: Path) -> None:
    """Scripts ask for settings in loops."""
    (tmp_path / "tedge.toml").write_text("")
    others = ["cryptography", "requests", "tomlkit", "tedge_cert.device.rotation"]
    others += ["difflib", "json", "shutil", "signal", "socket"]
    program = (
        "import sys\nfrom tedge_cert.cli import entry\nfrom tedge_cert.cli.arguments import Parser\n"
        "from tedge_cert.commands import config\n"
        "made = Parser('config', '')\nconfig.add_to(made)\nsys.argv = ['tedge-config', 'get', 'mqtt.topic_root']\n"
        "config.execute(made.read())\n"
        f"sys.stdout.write(' '.join(name for name in {others} if name in sys.modules))\n"
    )
    assert run([], tmp_path, text=program, isolated=True).stdout == "te\n"


def test_a_tenant_without_tokens_is_proved_to_without_the_http_library() -> None:
    program = (
        "import sys\nfrom tedge_cert.steps import verify\n"
        "print(*(each in sys.modules for each in ('requests', 'http.client', 'ssl')))"
    )
    assert run([], text=program).stdout.split() == ["False", "False", "True"]


@pytest.mark.parametrize(
    ("modules", "others"),
    [
        ("config_notes", ["cryptography", "requests", "tedge_cert.net.server"]),
        ("connection_options, connect", ["requests", "tomlkit"]),
        ("connection_options, disconnect", ["cryptography", "requests", "tomlkit"]),
        ("needs_download", ["cryptography", "hashlib", "requests"]),
        ("connection_options, reconnect", ["requests", "tomlkit"]),
    ],
)
def test_a_command_loads_no_library_that_only_others_need(modules: str, others: list[str]) -> None:
    """Each of these takes longer to load than such a command works."""
    program = (
        f"import sys\nfrom tedge_cert.cli import entry\nfrom tedge_cert.commands import {modules}\n"
        f"sys.stdout.write(' '.join(name for name in {others} if name in sys.modules))\n"
    )
    assert run([], text=program).stdout == ""


@pytest.mark.skipif(find_spec("importlinter") is None, reason="import-linter is not among these libraries")
def test_a_module_uses_only_what_lies_below_it() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib"), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "3 kept, 0 broken" in result.stdout
