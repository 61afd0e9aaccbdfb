# SPDX-License-Identifier: Apache-2.0
"""Devices in a directory, as the unit tests have them: quick enough for hundreds of cases."""

from unit.conftest import (
    _own_environment,
    local_device,
    running_tenant,
    tenant,
)

__all__ = ["_own_environment", "local_device", "running_tenant", "tenant"]
