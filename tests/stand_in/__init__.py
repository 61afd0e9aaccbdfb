# SPDX-License-Identifier: Apache-2.0
"""Programs that behave as those of thin-edge do where a renewal meets them, in our own words."""
