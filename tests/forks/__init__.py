# SPDX-License-Identifier: Apache-2.0
"""Start Python programs by fork from a process that has imported what they import, which is most of a start."""
