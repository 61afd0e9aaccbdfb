# SPDX-License-Identifier: Apache-2.0
"""What every device pays for each hour: the memo, the validity, the schedule."""
