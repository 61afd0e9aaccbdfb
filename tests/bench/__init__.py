# SPDX-License-Identifier: Apache-2.0
"""What the product costs on booted Debians, each figure beside a peer measured in the same run."""
