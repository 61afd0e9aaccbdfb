# SPDX-License-Identifier: Apache-2.0
"""Files that survive a power cut; who owns a file, and who may do what."""
