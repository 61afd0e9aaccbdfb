# SPDX-License-Identifier: Apache-2.0
"""What the tests share: a tenant, a device in a directory, and the paths of the checkout."""

import os
import re
import signal
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from pytest_mock import MockerFixture

from tedge_cert import afterwards, cures
from tedge_cert.x509 import provider
from tenant.client import Tenant
from unit.connected import certify, connect, hurry
from unit.est_authority import EstAuthority
from unit.libraries import touches
from unit.local_device import LocalDevice, free_address
from unit.switching import bridge

_HERE = Path(__file__).parent
# The tests of the tenant itself use its own client, which is written for paho 2; the device is tested with both.
collect_ignore_glob = [] if find_spec("paho.mqtt.enums") else ["test_tenant*.py"]

hypothesis.settings.register_profile("project", deadline=None, derandomize=True, max_examples=200, database=None)
hypothesis.settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of a second run with other libraries."""
    parser.addoption(
        "--only-libraries",
        action="store_true",
        help="run the modules that touch a library of Debian, and leave out those that would only repeat themselves",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker which tests touch a library: to find out takes seconds."""
    if node.config.getoption("--only-libraries"):
        node.workerinput["touching"] = [str(each) for each in _HERE.rglob("test_*.py") if touches(each)]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out tests that touch no library; None lets pytest decide."""
    is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    if not is_test or not config.getoption("--only-libraries"):
        return None
    told = getattr(config, "workerinput", {}).get("touching")
    is_touching = touches(collection_path) if told is None else str(collection_path) in told
    return None if is_touching else True


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Certificates made for a run are no part of a test's name, which has to be the same in every worker."""
    return argname if isinstance(val, bytes) and len(val) > 40 else None


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave only the settings of the test in the environment."""
    for name in list(os.environ):
        ours = name.startswith(("TEDGE_", "DEVICE_", "C8Y"))
        if ours or name in ("SYSTEMD_LOG_LEVEL", "JOURNAL_STREAM", "INVOCATION_ID"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the instance, the token and the work of the test before, as a command does by ending."""
    monkeypatch.setattr(afterwards, "_kept", [])
    for module, names in ((cures, ("_words", "_pair")), (provider, ("_directory", "_why_off"))):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))


@pytest.fixture(scope="session")
def running_tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """Run one process for all tests; use `tenant`, which is reset for each test."""
    with Tenant.start(tmp_path_factory.mktemp("tenant")) as started:
        yield started


@pytest.fixture
def tenant(running_tenant: Tenant) -> Iterator[Tenant]:
    """A tenant with its first settings and without faults; devices of other tests are still known to it."""
    before = running_tenant.settings()
    yield running_tenant
    epoch = running_tenant.settings()["token_epoch"]
    running_tenant.settings(**{**before, "faults": [], "token_epoch": epoch})


@pytest.fixture(scope="session")
def running_token_tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A tenant that gives tokens for client certificates; use `token_device`."""
    address = free_address()
    with Tenant.start(tmp_path_factory.mktemp("token-tenant"), [address], address, token_port=8443) as started:
        yield started


@pytest.fixture
def token_device(running_token_tenant: Tenant, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalDevice]:
    """A device of that tenant, new for each test."""
    before = running_token_tenant.settings()
    device = LocalDevice(tmp_path / "device", running_token_tenant, _device_name(request))
    yield device
    device.stop_broker()
    epoch = running_token_tenant.settings()["token_epoch"]
    running_token_tenant.settings(**{**before, "faults": [], "token_epoch": epoch})


def _device_name(request: pytest.FixtureRequest) -> str:
    """Of the test and its module, because the tenant of a worker remembers what it saw of each name."""
    plain = re.sub(r"[^A-Za-z0-9-]", "-", str(request.node.name))[:50].strip("-")
    return f"{plain}-{zlib.crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture
def local_device(tenant: Tenant, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalDevice]:
    """A device of its own name, not yet registered; its broker ends with the test."""
    device = LocalDevice(tmp_path / "device", tenant, _device_name(request))
    yield device
    device.stop_broker()


@pytest.fixture
def bridge_device(local_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A registered device whose bridge runs; a token that does not come is waited for half a second."""
    hurry(mocker, TOKEN_WAIT_S=0.5)
    certify(local_device)
    connect(local_device)
    return local_device


@pytest.fixture
def bridged(local_device: LocalDevice, mocker: MockerFixture) -> LocalDevice:
    """A connected device with ten days left."""
    return bridge(local_device, mocker)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[EstAuthority]:
    """A certificate authority of the operator's own, which speaks EST."""
    with EstAuthority(tmp_path) as running:
        yield running


@pytest.fixture
def _no_alarm() -> Iterator[None]:
    """Fails if a test leaves an interval timer or a handler of SIGALRM behind."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


@pytest.fixture
def asked(tenant: Tenant) -> Callable[[], int]:
    """How often the tenant was asked for a first certificate since the test began."""

    def count() -> int:
        return sum(each["path"].endswith("/simpleenroll") for each in tenant.state()["requests"])

    before = count()
    return lambda: count() - before
