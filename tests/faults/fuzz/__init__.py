# SPDX-License-Identifier: Apache-2.0
"""Bytes from others, spoilt in every way, against the code that reads them."""
