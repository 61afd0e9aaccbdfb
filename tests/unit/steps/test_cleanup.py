# SPDX-License-Identifier: Apache-2.0
"""Step 4 removes a rejected candidate and files of killed runs, and no other file."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from unit import recipes
from unit.children import BIN
from unit.connected import certify, instance_of, issue, outcome, rejected, serials
from unit.local_device import LocalDevice


def reject(device: LocalDevice) -> None:
    """Put a candidate that verify rejects."""
    device.candidate.write_text("garbage")
    assert outcome(lambda: recipes.verify(instance_of(device)))[0] == 3
    assert rejected(device)


@pytest.mark.parametrize("environment", [{}, {"SERVICE_RESULT": "exit-code"}, {"SERVICE_RESULT": "timeout"}])
def test_the_rejected_candidate_goes(local_device: LocalDevice, environment: dict[str, Any]) -> None:
    old = certify(local_device)
    reject(local_device)
    result = local_device.run("tedge-cert-cleanup c8y", **environment)
    assert (result.exit, result.stdout) == (0, "")
    assert result.stderr == f"removed the rejected candidate {local_device.candidate}\n"
    assert (serials(local_device), rejected(local_device)) == ((old, None, None), None)


@pytest.mark.parametrize("result", ["exec-condition", "success"])
def test_no_python_is_started_after_a_run_that_rejected_nothing(local_device: LocalDevice, result: str) -> None:
    certify(local_device)
    reject(local_device)
    temporary = local_device.certificate.with_name(".cert.pem.0123abcd.tmp")
    temporary.write_text("left")
    # With that variable, each Python would list its modules.
    told = {**local_device.environment, "SERVICE_RESULT": result, "PYTHONPROFILEIMPORTTIME": "1"}
    ended = subprocess.run([BIN / "tedge-cert-cleanup", "c8y"], env=told, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert local_device.candidate.read_text() == "garbage"
    assert temporary.exists()
    assert rejected(local_device)


@pytest.mark.parametrize(
    ("verified", "cleaned", "stays"),
    [({}, {"INVOCATION_ID": "1f"}, True), ({"INVOCATION_ID": "2e"}, {"INVOCATION_ID": "1f"}, True),
     ({"INVOCATION_ID": "1f"}, {"INVOCATION_ID": "1f"}, False), ({}, {}, False)],
    ids=["by hand", "another run", "the same run", "no unit at all"],
)  # fmt: skip
def test_a_run_removes_what_it_rejected_itself(
    local_device: LocalDevice, verified: dict[str, Any], cleaned: dict[str, Any], stays: bool
) -> None:
    """A candidate that a person's own verify rejected stays, even if the unit fails before its verify."""
    old = certify(local_device)
    new = issue(local_device, name="another-device")
    assert local_device.run("tedge-cert-verify c8y", **verified).exit == 3
    assert serials(local_device) == (old, new, None)
    assert local_device.run("tedge-cert-cleanup c8y", SERVICE_RESULT="exit-code", **cleaned).exit == 0
    assert (serials(local_device), rejected(local_device)) == ((old, new if stays else None, None), None)


def test_another_candidate_stays(local_device: LocalDevice) -> None:
    old = certify(local_device)
    reject(local_device)
    new = issue(local_device)
    recipes.clean_up(instance_of(local_device))
    assert (serials(local_device), rejected(local_device)) == ((old, new, None), None)


def test_a_candidate_without_a_verdict_stays(local_device: LocalDevice) -> None:
    """Even if it is garbage and another one was rejected before: each run begins without a record."""
    certify(local_device)
    reject(local_device)
    local_device.candidate.unlink()
    local_device.tenant.fault(where="mqtt", do="reset")
    assert outcome(lambda: recipes.verify(instance_of(local_device)))[0] == 1
    local_device.candidate.write_text("garbage")
    recipes.clean_up(instance_of(local_device))
    assert local_device.candidate.read_text() == "garbage"


def test_a_link_is_never_followed(local_device: LocalDevice) -> None:
    certify(local_device)
    reject(local_device)
    elsewhere = local_device.directory / "elsewhere"
    local_device.candidate.rename(elsewhere)
    local_device.candidate.symlink_to(elsewhere)
    recipes.clean_up(instance_of(local_device))
    assert elsewhere.read_text() == "garbage"
    assert local_device.candidate.is_symlink()


def test_an_unfinished_switch_stays(local_device: LocalDevice) -> None:
    old = certify(local_device)
    local_device.previous.write_bytes(local_device.certificate.read_bytes())
    new = certify(local_device, days=20)
    recipes.clean_up(instance_of(local_device))
    assert serials(local_device) == (new, None, old)


def test_temporary_files_go(local_device: LocalDevice, capsys: pytest.CaptureFixture[str]) -> None:
    certify(local_device)
    certs = local_device.certificate.parent
    ours = [".cert.pem.0123abcd.tmp", ".cert.pem.new.0123abcd.tmp", ".cert.pem.previous.0123abcd.tmp",
            ".key.pem.0123abcd.tmp", ".device.csr.0123abcd.tmp"]  # fmt: skip
    theirs = ["cert.pem.tmp", ".other.pem.0123abcd.tmp", ".cert.pem.swp"]
    for name in (*ours, *theirs):
        (certs / name).write_text("left")
    recipes.clean_up(instance_of(local_device))
    assert {each.name for each in certs.iterdir()} == {"cert.pem", "key.pem", *theirs}
    assert str(local_device.certificate) in capsys.readouterr().err


def test_a_file_that_cannot_be_removed_stops_no_command(
    local_device: LocalDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    certify(local_device)
    stuck = local_device.certificate.with_name(".cert.pem.0123abcd.tmp")
    stuck.mkdir()
    recipes.clean_up(instance_of(local_device))
    assert f"stays there: {stuck}: Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize("step", [recipes.clean_up, recipes.verify])
def test_a_directory_in_the_place_of_a_file_in_run_stops_no_step(
    local_device: LocalDevice, step: Callable[[Instance], None], capsys: pytest.CaptureFixture[str]
) -> None:
    certify(local_device, days=60)
    instance = instance_of(local_device)
    instance.rejection_file.mkdir()
    holder = f"{local_device.certificate}.holder".strip("/").replace("/", "-")
    (instance.run_directory / f".{holder}.0123abcd.tmp").mkdir()
    step(instance)
    assert f"cannot write {instance.rejection_file}: Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize("step", [recipes.clean_up, recipes.verify])
def test_what_killed_runs_left_goes(local_device: LocalDevice, step: Callable[[Instance], None]) -> None:
    """Temporary files go beside every file that a step writes, and in the directory of locks."""
    certify(local_device, days=60)
    instance = instance_of(local_device)
    handed_over = (instance.rejection_file, instance.access_token_file, instance.state_file)
    instance.state_file.parent.mkdir(exist_ok=True)
    switched = (instance.certificate, instance.candidate, instance.previous)
    left = [
        files.write_temporary(p, b"x", owners.HANDOVER) for p in (*switched, instance.key, instance.csr, *handed_over)
    ]
    step(instance)
    assert [each for each in left if each.exists()] == []
