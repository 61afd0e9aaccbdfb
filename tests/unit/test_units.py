# SPDX-License-Identifier: Apache-2.0
"""The units of the default profile and of the others: one text, said twice because systemd has no includes."""

import re

import pytest

from unit.local_device import ROOT

UNITS = ROOT / "units"


def for_profiles(text: str, kind: str) -> str:
    """What the unit of the default profile says to a profile; all that may differ stands here."""
    text = re.sub(r"^(Exec.*) %i", r"\1 c8y --profile %i", text, flags=re.MULTILINE)
    text = re.sub(r"^(Description=.*) %i$", r"\1 c8y (profile=%i)", text, flags=re.MULTILINE)
    text = text.replace("connect c8y`", "connect c8y --profile PROFILE`")
    text = text.replace("tedge-cert-renewer@c8y.", "tedge-cert-renewer-c8y@PROFILE.")
    text = text.replace("tedge-cert-renewer.target", "tedge-cert-renewer-c8y.target")
    # The first boot registers the default profile alone.
    text = re.sub(r"^# An expired device.*\nOnFailure=.*\n", "", text, flags=re.MULTILINE)
    head = "# SPDX-License-Identifier: Apache-2.0\n#\n"
    held = f"# For a cloud profile; all else as in tedge-cert-renewer@.{kind}, which a test holds it to.\n"
    return text.replace(head, head + held, 1)


@pytest.mark.parametrize("kind", ["service", "timer"])
def test_the_units_of_profiles_do_not_drift(kind: str) -> None:
    plain = (UNITS / f"tedge-cert-renewer@.{kind}").read_text()
    assert (UNITS / f"tedge-cert-renewer-c8y@.{kind}").read_text() == for_profiles(plain, kind)


def test_their_descriptions_are_those_that_people_know() -> None:
    said = {
        path.name: line.partition("=")[2]
        for path in UNITS.glob("*@.*")
        for line in path.read_text().splitlines()
        if line.startswith("Description=")
    }
    assert said["tedge-cert-renewer@.service"] == "thin-edge.io certificate renewer for %i"
    assert said["tedge-cert-renewer-c8y@.service"] == "thin-edge.io certificate renewer for c8y (profile=%i)"
    assert said["tedge-cert-renewer-c8y@.timer"] == "Timer for thin-edge.io certificate renewal of c8y (profile=%i)"


def directives(name: str) -> set[str]:
    """What a unit says in [Service], but for what it runs, what it may write to, and how long."""
    text = (UNITS / name).read_text().partition("[Service]\n")[2]
    own = ("Exec", "ReadWritePaths", "Environment", "LoadCredential", "Restart", "TimeoutStartSec", "NotifyAccess")
    return {line for line in text.splitlines() if line and not line.startswith(("#", *own))}


def test_the_first_boot_is_confined_as_the_renewer_is() -> None:
    assert directives("tedge-cert-download@.service") == directives("tedge-cert-renewer@.service")


def test_every_executable_is_on_the_path() -> None:
    links = [line.split()[1] for line in (ROOT / "debian" / "links").read_text().splitlines()]
    linked = {each for each in links if each.startswith("usr/bin/")}
    assert linked == {f"/usr/bin/{path.name}".removeprefix("/") for path in (ROOT / "bin").iterdir()}
