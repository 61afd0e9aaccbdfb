# SPDX-License-Identifier: Apache-2.0
"""The small library that the executables of tedge-cert-renewer share: one subject per module."""
