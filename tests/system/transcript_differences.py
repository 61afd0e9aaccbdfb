# SPDX-License-Identifier: Apache-2.0
"""The recorded cases with another answer of ours. Listed cases must differ; all others must not."""

from system.transcripts import Difference

# Each with its row of the list of differences in the manual, or with what thin-edge has and we have not.
DIFFERENCES = [
    Difference("cat /etc/tedge/tedge.toml", "D15: comments and unknown keys stay"),
    Difference(
        "stat -c '%a' /etc/tedge/device-certs/tedge-private-key.pem /etc/tedge/device-certs/tedge-certificate.pem",
        "D13: 640 and 644, because the renewer is not root",
    ),
    Difference(
        "sed s/mosquitto-c8y-bridge/BRIDGE/ /etc/tedge/mosquitto-conf/c8y-bridge.conf",
        "D3: one line more, restart_timeout, so that a switch is over soon without a restart",
    ),
    Difference("tedge http get /c8y/tenant/currentTenant", "the answer is the tenant's, and ours knows more fields"),
    Difference(
        """tedge http post /c8y/inventory/managedObjects --data '{"name":"x"}'""",
        "the answer is the tenant's, and ours knows more fields",
    ),
]

# Commands that are being written. The list shrinks: a case that is as recorded must be taken off it.
NOT_YET: list[Difference] = []
