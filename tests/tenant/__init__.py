# SPDX-License-Identifier: Apache-2.0
"""A Cumulocity tenant for one machine: EST, REST and MQTT over TLS, with faults on demand.

It is a process of its own (`python3 -m tenant --help`), steered over plain HTTP by `tenant.client.Tenant`.
"""
