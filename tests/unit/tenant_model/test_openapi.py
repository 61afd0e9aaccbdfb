# SPDX-License-Identifier: Apache-2.0
"""The tenant against its own description: every answer is one that is described, and never a 5xx."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import tenant as package
from tenant.client import Tenant

FILE = Path(package.__file__).parent / "openapi.yaml"
# Some twenty requests for each of the operations take half a minute.
EXAMPLES = 20
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

api = schemathesis.openapi.from_path(FILE)


@pytest.fixture(scope="module")
def own_tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """Run a tenant for this module only, because the requests leave it in any state."""
    with Tenant.start(tmp_path_factory.mktemp("tenant")) as started:
        yield started


@api.parametrize()
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_every_answer_is_described(case: Any, own_tenant: Tenant) -> None:
    case.call_and_validate(
        base_url=f"https://localhost:{own_tenant.http_port}",
        checks=CHECKS,
        auth=("admin", "secret"),
        verify=str(own_tenant.server_ca),
        timeout=20,
    )
