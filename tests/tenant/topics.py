# SPDX-License-Identifier: Apache-2.0
"""Topics and what subscriptions cover (MQTT 3.1.1, 4.7)."""


def topic_matches(pattern: str, topic: str) -> bool:
    """Whether a subscription covers a topic."""
    wanted, given = pattern.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(given) or level not in ("+", given[position]):
            return False
    return len(wanted) == len(given)
