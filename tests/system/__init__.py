# SPDX-License-Identifier: Apache-2.0
"""The package on booted Debian 12 and 13: each device a container with a network of its own."""
