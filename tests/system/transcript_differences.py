# SPDX-License-Identifier: Apache-2.0
"""The recorded cases that we answer in another way. What is on a list must differ, all else must not."""

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
]

_CREATE = "tedge cert create"

# Commands that are being written. The list shrinks: a case that is as recorded must be taken off it.
NOT_YET = [
    Difference(command, f"not yet: {_CREATE}", after)
    for command, after in (
        (f"{_CREATE} --device-id a:b", ""),
        (f"{_CREATE} --device-id {'x' * 65}", ""),
        (f"{_CREATE} --device-id test-1", ""),
        ("tedge config get device.id", _CREATE),
        ("tedge cert show", _CREATE),
        (f"{_CREATE}-csr --device-id test-9", ""),
        ("openssl req -noout -subject -in /etc/tedge/device-certs/tedge.csr", ""),
        (f"{_CREATE}-csr", ""),
        (f"{_CREATE}-csr --device-id other", ""),
        ("tedge cert remove", ""),
        ("tedge cert renew --ca self-signed", ""),
        ("tedge cert show --new", "tedge cert renew --ca self-signed"),
        ("tedge cert renew c8y --csr-path /tmp/my2.csr", ""),
    )
] + [
    Difference(command, "not yet: tedge connect, reconnect and http", after)
    for command, after in (
        ("tedge connect nosuch", ""),
        ("tedge reconnect c8y", ""),
        ("tedge cert show --new", "tedge reconnect"),
        ("tedge http get /c8y/x", ""),
        ("tedge http get /c8y/tenant/currentTenant", ""),
        ("""tedge http post /c8y/inventory/managedObjects --data '{"name":"x"}'""", ""),
        ("tedge http get /c8y/nosuch", ""),
    )
]
