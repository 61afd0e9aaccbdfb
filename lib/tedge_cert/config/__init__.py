# SPDX-License-Identifier: Apache-2.0
"""`tedge.toml`: the table of keys, reading, editing."""
