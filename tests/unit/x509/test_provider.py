# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's configuration for a key in hardware: who is believed, and what is taken from it."""

import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tedge_cert import processes
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


@pytest.mark.parametrize(
    ("module", "groups"),
    [
        ("/usr/lib/softhsm/libsofthsm2.so", ("softhsm",)),
        ("/usr/lib/libtpm2_pkcs11.so", ("tss",)),
        ("/usr/lib/x.so", ()),
    ],
)
def test_only_the_group_of_the_hardware_is_wanted(directory: Path, module: str, groups: tuple[str, ...]) -> None:
    (directory / "openssl.env").write_text(f"OPENSSL_CONF={directory}/openssl.cnf\nCRYPTOKI_MODULE={module}\n")
    assert provider.enable(str(directory)) == groups


def test_a_command_without_a_key_takes_none(directory: Path) -> None:
    assert provider.enable(str(directory), uses_key=False) == ()
    assert "OPENSSL_CONF" not in os.environ
    assert provider.state_directory() == f"{directory}/state"


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


@pytest.mark.parametrize("is_root", [True, False])
def test_root_hands_the_pin_over(
    is_root: bool, directory: Path, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture
) -> None:
    """A credential is root's in a unit of root; a command of root goes on as tedge, and so do its children."""
    if not is_root and os.geteuid() == 0:
        mocker.patch.object(provider, "is_believed", return_value=True)
    mocker.patch("os.geteuid", return_value=0 if is_root else 1)
    (directory / "tedge.token-pin").write_text("4711\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    provider.enable(str(directory))
    said = os.environ["CRYPTOKI_PIN_FILE"]
    assert said.startswith("/proc/self/fd/") if is_root else said == f"{directory}/tedge.token-pin"
    assert provider.pin_file() == f"{directory}/tedge.token-pin"
    done = processes.pipe(["cat", said], b"", {"CRYPTOKI_PIN_FILE": said})
    assert done.stdout == b"4711\n"


def test_a_pin_that_others_can_write_is_not_read_by_root(
    directory: Path, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture
) -> None:
    """OpenSSL would read whatever is there into a process of root."""
    mocker.patch.object(provider, "is_believed", return_value=True)
    mocker.patch.object(provider, "is_of_system", return_value=True)
    mocker.patch("os.geteuid", return_value=0)
    text = provider.environment_text(str(directory), "", "/usr/lib/x.so", f"{directory}/pin")
    (directory / "openssl.env").write_text(text)
    directory.chmod(0o777)
    assert provider.enable(str(directory)) == ()
    assert "OPENSSL_CONF" not in os.environ
    mocker.patch.object(provider, "only_root_writes", return_value=True)
    provider.enable(str(directory))
    assert os.environ["CRYPTOKI_PIN_FILE"] == f"{directory}/pin"


@pytest.mark.parametrize(
    ("path", "said"), [("/etc/passwd", True), ("/etc/no-such-file", True), ("/tmp/pin", False), ("/proc/self", False)]
)
def test_root_alone_can_write(path: str, said: bool) -> None:
    assert provider.only_root_writes(path) is said
