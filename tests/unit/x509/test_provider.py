# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's configuration for a key in hardware: who is believed, and what is taken from it."""

import os
from pathlib import Path

import pytest

from tedge_cert.x509 import provider


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is set up for a key in the TPM."""
    for name in (*provider.VARIABLES, "LD_PRELOAD"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "openssl.cnf").write_text(provider.configuration_text(False, True, ""))
    text = provider.environment_text(str(tmp_path), "tabrmd", "", "") + "LD_PRELOAD=/tmp/theirs.so\n"
    (tmp_path / "openssl.env").write_text(text)
    return tmp_path


def test_its_variables_are_taken_and_no_other(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSS2_LOG", "all+error")
    assert provider.enable(str(directory)) == ("tss",)
    assert {name: os.environ.get(name) for name in (*provider.VARIABLES, "LD_PRELOAD")} == {
        "OPENSSL_CONF": f"{directory}/openssl.cnf", "TPM2OPENSSL_TCTI": "tabrmd", "TSS2_LOG": "all+error",
        "LD_PRELOAD": None, "CRYPTOKI_MODULE": None, "CRYPTOKI_PIN_FILE": None,
    }  # fmt: skip


def test_without_the_file_nothing_changes(tmp_path: Path) -> None:
    before = dict(os.environ)
    assert (provider.enable(str(tmp_path)), dict(os.environ)) == ((), before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, how) for name in ("", "openssl.env", "openssl.cnf") for how in ("another user's", "group-writable")),
        ("openssl.env", "a link"),
        ("openssl.cnf", "a link"),
    ],
)
def test_what_another_user_can_write_loads_no_library(directory: Path, name: str, how: str) -> None:
    path = directory / name
    if how == "another user's":
        os.chown(path, 1, 1)
    elif how == "group-writable":
        path.chmod(0o775)
    else:
        path.symlink_to(path.rename(path.with_suffix(".real")))
    assert provider.enable(str(directory)) == ()
    assert "OPENSSL_CONF" not in os.environ
