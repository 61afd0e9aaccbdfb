# SPDX-License-Identifier: Apache-2.0
"""The commands a person types beyond the four steps: register, connect, configure, upload."""
