# SPDX-License-Identifier: Apache-2.0
"""Cumulocity: token, proof of a certificate, alarm, REST."""
