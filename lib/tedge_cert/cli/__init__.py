# SPDX-License-Identifier: Apache-2.0
"""Command lines: arguments, entry points of the executables, `tedge <words>` to executable."""

import gc

# A step ends before its garbage fills the memory, so collecting it while modules are imported only costs time.
gc.set_threshold(100_000)
