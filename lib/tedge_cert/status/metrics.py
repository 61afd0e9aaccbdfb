# SPDX-License-Identifier: Apache-2.0
"""Write the status for Prometheus, in the text format that node_exporter's textfile collector reads."""

from collections.abc import Callable

from tedge_cert.status.facts import Facts
from tedge_cert.status.verdict import Problem, failures, health

Report = tuple[Facts, list[Problem]]

# Name, help and value; an unknown value is left out, because 0 would be a date in 1970.
_METRICS: tuple[tuple[str, str, Callable[[Facts, list[Problem]], int | None]], ...] = (
    (
        "not_after_timestamp_seconds",
        "When the certificate expires.",
        lambda facts, _: facts.certificate.not_after_s or None if facts.certificate else None,
    ),
    ("renewal_due_timestamp_seconds", "When its renewal is due.", lambda facts, _: facts.due_s or None),
    (
        "renewal_last_success_timestamp_seconds",
        "When it was last renewed.",
        lambda facts, _: facts.state.succeeded_s or None,
    ),
    ("renewal_failed_attempts", "Renewals that failed one after the other.", lambda facts, _: failures(facts)),
    ("state", "0 healthy, 1 needs attention, 2 broken.", lambda _, found: health(found)),
    (
        "bridge_up",
        "Whether the bridge to the tenant is connected.",
        lambda facts, _: int(bool(facts.bridge.is_up)) if facts.bridge.is_configured else None,
    ),
)


def metrics_of(reports: list[Report]) -> str:
    """Return all metrics of all instances."""
    return "".join(_metric(*each, reports) for each in _METRICS)


def _metric(
    name: str, words: str, value_of: Callable[[Facts, list[Problem]], int | None], reports: list[Report]
) -> str:
    values = [(facts, value_of(facts, found)) for facts, found in reports]
    samples = "".join(
        f"tedge_certificate_{name}{_labels(facts)} {value}\n" for facts, value in values if value is not None
    )
    head = f"# HELP tedge_certificate_{name} {words}\n# TYPE tedge_certificate_{name} gauge\n"
    return head + samples if samples else ""


def _labels(facts: Facts) -> str:
    pairs = {"cloud": facts.cloud, "profile": facts.profile, "device_id": facts.device_id}
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
