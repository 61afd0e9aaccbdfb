# SPDX-License-Identifier: Apache-2.0
"""The command line of the condition for people: help, and the word on a mistake."""

from tedge_cert import entry
from tedge_cert.condition import Question


def question_of(description: str | None) -> Question:
    """The question of this process's arguments, with help and usage errors as everywhere else."""
    parser = entry.parser("cert needs-renewal", description)
    entry.add_cloud(parser)
    parser.add_argument("--cert-path", default="", metavar="FILE", help="another certificate")
    parser.add_argument(
        "--systemd",
        action="store_true",
        help="answer a unit: 255 for whatever is broken, levels on the lines",
    )
    arguments = entry.parse(parser)
    question = Question()
    for name in question.__slots__:
        setattr(question, name, getattr(arguments, name) or getattr(question, name))
    return question
