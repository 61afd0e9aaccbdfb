# SPDX-License-Identifier: Apache-2.0
"""TLS, HTTPS, MQTT and proxies; knows no Cumulocity."""
