# SPDX-License-Identifier: Apache-2.0
"""One instance: paths, unit names, profiles that share a certificate, its lock, its state."""
