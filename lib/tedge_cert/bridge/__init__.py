# SPDX-License-Identifier: Apache-2.0
"""The connection to the tenant: mosquitto's files, its health, the local broker."""
