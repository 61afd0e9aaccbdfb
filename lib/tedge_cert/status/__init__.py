# SPDX-License-Identifier: Apache-2.0
"""The state of a device on one screen, as JSON and as metrics; no other room imports it."""
