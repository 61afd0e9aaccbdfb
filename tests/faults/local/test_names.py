# SPDX-License-Identifier: Apache-2.0
"""The name of the tenant: unknown, not answered, answered late, and answered differently from step to step."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.nameserver import NAME, NO_SUCH_NAME, SERVER_FAILURE, NameServer, NamingDevice, serving
from faults.record import Matrix
from tenant.client import Tenant
from unit.connected import certify, configure, connect, serial_of, serials

pytestmark = [
    pytest.mark.row("Names"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a name server has a port of root's"),
]
RENEW, VERIFY = "tedge-cert-renew --systemd c8y", "tedge-cert-verify c8y"
HERE, UNUSED = "127.0.0.1", "127.99.0.1"
# The C library waits so long for one answer, and would ask ten times.
PATIENT = "timeout:30 attempts:10"


@pytest.fixture(scope="module")
def named_tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A tenant that has a name."""
    with Tenant.start(tmp_path_factory.mktemp("named"), [NAME, HERE]) as started:
        yield started


@pytest.fixture
def device(named_tenant: Tenant, tmp_path: Path) -> Iterator[NamingDevice]:
    """A connected device that is due and from now on knows the tenant by its name; its bridge needs none."""
    made = NamingDevice(tmp_path / "device", named_tenant, tmp_path.name.replace("_", "-"))
    certify(made)
    connect(made)
    configure(made, f'http = "{HERE}:', f'http = "{NAME}:')
    configure(made, f'mqtt = "{HERE}:', f'mqtt = "{NAME}:')
    yield made
    made.stop_broker()


@pytest.fixture
def names(device: NamingDevice) -> Iterator[NameServer]:
    """The device's one name server."""
    with serving(device.directory, PATIENT) as server:
        yield server


def run(device: NamingDevice, matrix: Matrix, words: str, code: int, said: str = "") -> float:
    """Run the step, check how it ended, and return how long it took."""
    begins_s = time.monotonic()
    done = device.run(words)
    assert done.exit == code, done
    assert said in matrix.said(done.stderr), done
    return time.monotonic() - begins_s


@pytest.mark.parametrize("code", [SERVER_FAILURE, NO_SUCH_NAME])
def test_a_name_that_is_not_known(device: NamingDevice, names: NameServer, matrix: Matrix, code: int) -> None:
    names.code = code
    before = serials(device)
    with matrix.case(f"renew, DNS answers {code}"):
        run(device, matrix, RENEW, 1, f"no answer from https://{NAME}:")
    assert serials(device) == before
    assert names.asked


def test_a_name_whose_address_changes(device: NamingDevice, names: NameServer, matrix: Matrix) -> None:
    """Each step resolves the name again, and tries every address."""
    old = serial_of(device.certificate)
    names.addresses = [UNUSED]
    with matrix.case("renew at an address without a server"):
        run(device, matrix, RENEW, 1, "Connection refused")
    names.addresses = [HERE]
    with matrix.case("renew at the new address"):
        run(device, matrix, RENEW, 0)
    names.addresses = [UNUSED]
    with matrix.case("verify at an address without a server"):
        run(device, matrix, VERIFY, 1, "Connection refused")
    new = serial_of(device.candidate)
    assert serials(device) == (old, new, None)
    names.addresses = [UNUSED, HERE]
    with matrix.case("verify at the second of two addresses"):
        run(device, matrix, VERIFY, 0)
    assert serials(device) == (new, None, None)
    device.tenant.wait_connected(device.device_id, serial=new)


@pytest.mark.whole
def test_a_name_without_an_answer(device: NamingDevice, names: NameServer, matrix: Matrix) -> None:
    """The look-up would take ten minutes; the bounds of the requests hold: a token's 20 s, then the whole's 60 s."""
    names.silent = True
    before = serials(device)
    with matrix.case("renew, DNS silent"):
        assert run(device, matrix, RENEW, 1, "the whole request took longer than 60 s") < 100
    assert serials(device) == before


@pytest.mark.whole
def test_a_name_that_is_answered_after_20_s(device: NamingDevice, names: NameServer, matrix: Matrix) -> None:
    names.addresses, names.delay_s = [HERE], 20.0
    with matrix.case("renew, DNS answers after 20 s"):
        run(device, matrix, RENEW, 0)
    new = serial_of(device.candidate)
    with matrix.case("verify, DNS answers after 20 s"):
        run(device, matrix, VERIFY, 0)
    assert serials(device) == (new, None, None)
