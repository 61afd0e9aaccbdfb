# SPDX-License-Identifier: Apache-2.0
"""Who signs: the request, and the checks of the certificate that comes back."""
