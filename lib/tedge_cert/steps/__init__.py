# SPDX-License-Identifier: Apache-2.0
"""The four steps of a renewal: condition, renew, verify, cleanup; and when each of them waits."""
