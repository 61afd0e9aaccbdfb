# SPDX-License-Identifier: Apache-2.0
"""Steps killed at every system call that changes a file: the next run of the timer repairs the device by itself."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults.goodness import expect_good, flaw_of_token
from faults.hourly import CLEANUP, RENEW, VERIFY, Hour, Traced, hour, traced
from faults.record import Matrix
from faults.syscalls import Call
from tenant.client import Tenant
from unit import hardware
from unit.certificates import DAY_S
from unit.connected import certify, connect, issue, key_file, serial_of
from unit.local_device import LocalDevice
from unit.mapper_device import mapped
from unit.pairs import issue_pair, promote_pair, want_new_keys

# So many tests share the calls of a step, to run beside each other.
PARTS = 4
PIN = "471100"


def due(device: LocalDevice) -> None:
    certify(device)
    connect(device)


def with_candidate(device: LocalDevice) -> None:
    due(device)
    candidate(device)


def candidate(device: LocalDevice) -> None:
    issue(device)


def with_bad_candidate(device: LocalDevice) -> None:
    due(device)
    issue(device, name="another-device")


def rejected(device: LocalDevice) -> None:
    with_bad_candidate(device)
    assert device.run(VERIFY).exit == 3


def unfinished(device: LocalDevice) -> None:
    certify(device)
    promoted(device)


def promoted(device: LocalDevice) -> None:
    device.previous.write_bytes(device.certificate.read_bytes())
    issue(device, device.certificate)


def unfinished_and_refused(device: LocalDevice) -> None:
    unfinished(device)
    refused(device)


def promoted_and_refused(device: LocalDevice) -> None:
    promoted(device)
    refused(device)


def refused(device: LocalDevice) -> None:
    device.tenant.fault(where="mqtt", do="connack", code=5, serials=[serial_of(device.certificate)])


def due_with_a_new_key(device: LocalDevice) -> None:
    want_new_keys(device)
    due(device)


def with_candidate_pair(device: LocalDevice) -> None:
    due(device)
    issue_pair(device)


def unfinished_pair(device: LocalDevice) -> None:
    certify(device)
    issue_pair(device)
    promote_pair(device)


@contextmanager
def in_token(device: LocalDevice) -> Iterator[None]:
    """Have the device keep its keys in a token, registered and connected, with a certificate that is due."""
    with pytest.MonkeyPatch.context() as variables:
        hardware.set_up_token(device, device.directory.parent, variables, PIN)
        assert device.run("tedge-hsm create-key c8y").exit == 0
        assert device.run(f"tedge-cert-create-csr c8y --device-id {device.device_id}").exit == 0
        request = device.certificate.with_name("device.csr").read_text()
        device.certificate.write_text(device.tenant.issue(request, lifetime_s=10 * DAY_S))
        hardware.use_provider(device, variables)
        want_new_keys(device)
        connect(device)
        yield


def with_candidate_in_token(device: LocalDevice) -> None:
    assert device.run(RENEW).exit == 0


def promoted_and_refused_in_token(device: LocalDevice) -> None:
    with_candidate_in_token(device)
    for path in (device.certificate, key_file(device)):
        path.with_name(f"{path.name}.previous").write_bytes(path.read_bytes())
        path.with_name(f"{path.name}.new").rename(path)
    refused(device)


def nothing(_: LocalDevice) -> None:
    pass


def unfinished_and_refused_pair(device: LocalDevice) -> None:
    unfinished_pair(device)
    refused(device)


@dataclass(frozen=True)
class Step:
    """A step that is killed, and the device that it finds."""

    begin: Callable[[LocalDevice], None]
    words: str
    exit: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    # What has the connection to the tenant while the step runs, other than mosquitto.
    by: Callable[[LocalDevice], AbstractContextManager[object]] = nullcontext


STEPS = {
    "renew": Step(due, RENEW),
    "verify": Step(with_candidate, VERIFY),
    "verify that rejects": Step(with_bad_candidate, VERIFY, 3),
    "verify that finishes": Step(unfinished, VERIFY),
    "verify that undoes": Step(unfinished_and_refused, VERIFY, 3),
    "renew with a new key": Step(due_with_a_new_key, RENEW),
    "verify of a pair": Step(with_candidate_pair, VERIFY),
    "verify that finishes a pair": Step(unfinished_pair, VERIFY),
    "verify that undoes a pair": Step(unfinished_and_refused_pair, VERIFY, 3),
    "renew with a new key in a token": Step(nothing, RENEW, by=in_token),
    "verify of a pair in a token": Step(with_candidate_in_token, VERIFY, by=in_token),
    "verify that undoes a pair in a token": Step(promoted_and_refused_in_token, VERIFY, 3, by=in_token),
    "cleanup": Step(rejected, CLEANUP, 0, {"SERVICE_RESULT": "exit-code"}),
    "verify by the mapper": Step(candidate, VERIFY, by=mapped),
    "verify by the mapper that finishes": Step(promoted, VERIFY, by=mapped),
    "verify by the mapper that undoes": Step(promoted_and_refused, VERIFY, 3, by=mapped),
}
# Those of a renewal in which nothing goes wrong; `make test` kills these alone.
CLEAN = ("renew", "verify")
# Beside thin-edge it kills the step where certificate and request for a restart change.
MAPPED = "verify by the mapper"
# What gives a name to a file, or takes it.
MOVES = ("rename", "link", "unlink")
# Of these, `make test` has the calls alone that change the name of a key.
PAIRS = ("renew with a new key", "verify of a pair")
# Of these, `make test` has the calls around the making and the removal of a key in the token.
TOKENS = {
    "renew with a new key in a token": ("*.token-keys", "key.pem.new"),
    "verify of a pair in a token": ("key.pem.previous", "*.token-keys", "cert.pem.previous"),
}


@contextmanager
def fresh(tenant: Tenant, directory: Path, step: Step) -> Iterator[LocalDevice]:
    device = LocalDevice(directory / "device", tenant, f"{directory.parent.name}-{directory.name}")
    device.tenant.clear_faults()
    with step.by(device):
        step.begin(device)
        try:
            yield device
        finally:
            device.stop_broker()


def run(device: LocalDevice, step: Step, number: int, when: str = "before") -> Traced:
    return traced(device, step.words, number, when, step.variables)


def kill(tenant: Tenant, directory: Path, step: Step, number: int, when: str) -> None:
    with fresh(tenant, directory, step) as device:
        killed = run(device, step, number, when)
        assert killed.result.exit == -signal.SIGKILL, killed.result
        assert len(killed.calls) == (number if when == "after" else number - 1)
        after = hour(device)
        context = f"killed {when} call {number} after {killed.calls[-1:]}: {[each.exit for each in after.steps]}"
        expect_good(device, f"{context}\n{after.said}")
        check_end(after, context)
        if step.by is in_token:
            # The next command that uses the token, where the run was held back.
            assert after.result != "exit-code" or device.run("tedge-hsm create-key c8y").exit == 0
            assert flaw_of_token(device) == "", context


def check_end(after: Hour, context: str) -> None:
    """A run ends well, or had nothing to do; only one that had to reject or undo says so by its exit.

    Where the killed run had already recorded that, this one is held back: all is good, and the tenant is not asked.
    """
    codes = [each.exit for each in after.steps]
    if after.result == "exit-code" and not (codes == [255, 0] and "the authority is not asked before" in after.said):
        assert codes == [0, 0, 3, 0], f"{context}\n{after.said}"


@pytest.mark.row("Killed anywhere")
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each in CLEAN else pytest.mark.whole) for each in STEPS]
)
def test_killed_anywhere(tenant: Tenant, tmp_path: Path, matrix: Matrix, name: str, part: int) -> None:
    calls = calls_of(tenant, tmp_path / "clean", name)
    whens = ("before", "after") if matrix.whole else ("before",)
    # After the last call is the end of the step, which the tests of the steps begin from.
    points = [(call, when) for call in calls for when in whens]
    assert len(points) > PARTS
    for call, when in points[part::PARTS]:
        with matrix.case(f"{name}: {when} {call}"):
            kill(tenant, tmp_path / f"{call.number}-{when}", STEPS[name], call.number, when)


def calls_of(tenant: Tenant, directory: Path, name: str) -> list[Call]:
    """The calls of a step that is not killed."""
    step = STEPS[name]
    with fresh(tenant, directory, step) as device:
        clean = run(device, step, 0)
    assert clean.result.exit == step.exit, clean.result
    # SoftHSM is no match for a card: it loses an object, or all, if it is killed while it writes there.
    return [each for each in clean.calls if "/token/tokens/" not in each.path]


@pytest.mark.row("Killed anywhere")
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_the_restart_of_the_mapper(tenant: Tenant, tmp_path: Path, matrix: Matrix, when: str) -> None:
    """Where the certificate, the request for a restart and previous come and go."""
    calls = calls_of(tenant, tmp_path / "clean", MAPPED)
    kept = ("cert.pem.previous", "cert.pem", "cert.pem.new", "c8y.mapper")
    moves = [each for each in calls if each.name.startswith(("rename", "unlink"))]
    chosen = [each for each in moves if Path(each.target or each.path).name in kept]
    assert [Path(each.target or each.path).name for each in chosen] == [*kept, "cert.pem.previous"]
    for call in chosen:
        with matrix.case(f"{MAPPED}: {when} {call}"):
            kill(tenant, tmp_path / f"{call.number}-{when}", STEPS[MAPPED], call.number, when)


@pytest.mark.row("Killed anywhere")
@pytest.mark.parametrize("name", PAIRS)
def test_killed_where_a_key_changes_its_name(tenant: Tenant, tmp_path: Path, matrix: Matrix, name: str) -> None:
    calls = [each for each in calls_of(tenant, tmp_path / "clean", name) if "key.pem" in f"{each.path} {each.target}"]
    chosen = [each for each in calls if each.name.startswith(MOVES)]
    assert len(chosen) == (7 if name == "verify of a pair" else 2)
    for call in chosen:
        with matrix.case(f"{name}: before {call}"):
            kill(tenant, tmp_path / f"{call.number}", STEPS[name], call.number, "before")


@pytest.mark.row("Killed anywhere")
@pytest.mark.parametrize("name", TOKENS)
def test_killed_where_a_key_in_a_token_comes_or_goes(tenant: Tenant, tmp_path: Path, matrix: Matrix, name: str) -> None:
    calls = [each for each in calls_of(tenant, tmp_path / "clean", name) if each.name.startswith(MOVES)]
    for pattern in TOKENS[name]:
        call = [each for each in calls if Path(each.target or each.path).match(pattern)][-1]
        with matrix.case(f"{name}: before {call}"):
            kill(tenant, tmp_path / f"{call.number}", STEPS[name], call.number, "before")
