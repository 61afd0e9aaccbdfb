# SPDX-License-Identifier: Apache-2.0
"""Run ``tedge cert status``: choose the instances and the form of the output."""

import argparse

from tedge_cert import beside, systemd, terminal
from tedge_cert.cli import entry
from tedge_cert.device import profiles
from tedge_cert.device.instance import Names, load_instance
from tedge_cert.errors import ConfigurationError
from tedge_cert.status.facts import Facts
from tedge_cert.status.gather import gather, without_configuration
from tedge_cert.status.units import Inquiry
from tedge_cert.status.verdict import Problem, health, problems


def show(arguments: argparse.Namespace) -> int:
    """Print the status of the named instance, or of all; return 0 healthy, 1 attention, 2 broken."""
    reports = [(facts, problems(facts)) for facts in _facts(arguments)]
    terminal.out(_rendered(arguments, reports))
    return max(health(found) for _, found in reports)


def _facts(arguments: argparse.Namespace) -> list[Facts]:
    if beside.is_beside():
        # The settings are thin-edge's, so root reads none of them.
        entry.act_as_tedge(arguments)
    try:
        instance = load_instance("c8y", arguments.profile, arguments.config_dir)
        all_of_them = not (arguments.cloud or arguments.profile)
        instances = profiles.present(instance) if all_of_them else [instance]
        # Root may ask systemd and read its journal; all else is read as tedge.
        inquiries = [Inquiry(each, each.manages_services) for each in instances]
        entry.act_as_tedge(arguments)
        return [gather(each, arguments.online, asked) for each, asked in zip(instances, inquiries, strict=True)]
    except ConfigurationError as error:
        names = Names("c8y", arguments.profile)
        inquiry = Inquiry(names, systemd.is_running() and entry.is_of_system(arguments))
        entry.act_as_tedge(arguments)
        return [without_configuration(names, str(error), inquiry)]


def _rendered(arguments: argparse.Namespace, reports: list[tuple[Facts, list[Problem]]]) -> str:
    if arguments.json:
        from tedge_cert.status.document import document_of

        return document_of(reports)
    if arguments.prometheus:
        from tedge_cert.status.metrics import metrics_of

        return metrics_of(reports)
    from tedge_cert.status.text import lines_of, screen_of

    return lines_of(reports) if arguments.short else screen_of(reports)
