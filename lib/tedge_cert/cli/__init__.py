# SPDX-License-Identifier: Apache-2.0
"""Command lines: arguments, entry points of the executables, `tedge <words>` to executable."""
