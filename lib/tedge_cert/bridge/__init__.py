# SPDX-License-Identifier: Apache-2.0
"""The connection to the tenant: that of mosquitto or of thin-edge's mapper, its health, the local broker."""
