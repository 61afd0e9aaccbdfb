# SPDX-License-Identifier: Apache-2.0
"""The units of the default profile and of other profiles: the same text twice, because systemd has no includes."""

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from unit.local_device import ROOT

UNITS = ROOT / "units"
BESIDE = UNITS / "beside"
KINDS = {".service", ".timer", ".target", ".path", ".socket"}


def for_profiles(text: str, kind: str) -> str:
    """Return the unit of the default profile as it must be for other profiles, with all allowed differences."""
    text = re.sub(r"^(Exec.*) %i", r"\1 c8y --profile %i", text, flags=re.MULTILINE)
    text = re.sub(r"^(Description=.*) %i$", r"\1 c8y (profile=%i)", text, flags=re.MULTILINE)
    text = text.replace("connect c8y`", "connect c8y --profile PROFILE`")
    text = text.replace("tedge-cert-renewer@c8y.", "tedge-cert-renewer-c8y@PROFILE.")
    text = text.replace("tedge-cert-renewer.target", "tedge-cert-renewer-c8y.target")
    # The first boot registers only the default profile.
    text = re.sub(r"^# An expired device.*\nOnFailure=.*\n", "", text, flags=re.MULTILINE)
    head = "# SPDX-License-Identifier: Apache-2.0\n#\n"
    held = f"# For a cloud profile; otherwise equal to tedge-cert-renewer@.{kind}. A test compares them.\n"
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


def test_every_executable_is_on_the_path() -> None:
    links = [line.split()[1] for each in (ROOT / "debian").glob("*.links") for line in each.read_text().splitlines()]
    linked = {each for each in links if each.startswith("usr/bin/")}
    assert linked == {f"/usr/bin/{path.name}".removeprefix("/") for path in (ROOT / "bin").iterdir()}


def confinement(path: Path) -> list[str]:
    """Return the unit from the first line of its confinement to its end."""
    lines = path.read_text().splitlines()
    return lines[lines.index("ProtectSystem=strict") - 1 :]


def test_each_directive_that_confines_says_what_it_is_for() -> None:
    begun, *lines = confinement(UNITS / "tedge-cert-renewer@.service")
    silent = [
        line
        for before, line in itertools.pairwise([begun, *lines])
        if line and not line.startswith(("#", before.partition("=")[0] + "=")) and not before.startswith("#")
    ]
    assert silent == []


@pytest.mark.parametrize("path", sorted(UNITS.rglob("*.service")), ids=lambda path: path.name)
def test_every_service_is_confined_alike(path: Path) -> None:
    """They differ only in the directories that each may write, and in that some have no network."""
    wanted = {line for line in confinement(UNITS / "tedge-cert-renewer@.service") if line and line[0] != "#"}
    missing = wanted - set(confinement(path))
    if "PrivateNetwork=yes" in confinement(path):
        missing.discard("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6")
    assert {line for line in missing if not line.startswith("ReadWritePaths=")} == set()


@pytest.mark.parametrize("name", ["tedge-cert-renewer@.service", "tedge-cert-renewer-c8y@.service"])
def test_the_drop_in_beside_thin_edge_has_the_lines_of_our_unit(name: str, tmp_path: Path) -> None:
    """It resets each kind of step before it sets ours, and keeps thin-edge's choice of an authority."""
    subprocess.run([sys.executable, str(ROOT / "debian/dropin.py"), str(tmp_path)], check=True)
    made = (tmp_path / f"{name}.d/50-tedge-cert-renewer.conf").read_text().partition("\n[Service]\n")[2]
    lines = [line for line in made.splitlines() if line and line[0] != "#"]
    ours = (UNITS / name).read_text().partition("\n[Service]\n")[2]
    # In the group of the mapper, whose processes it has to see.
    wanted = [line for line in ours.replace("Group=mosquitto", "Group=tedge").splitlines() if line and line[0] != "#"]
    assert lines[-len(wanted) + 1 :] == [each for each in wanted if each != "Environment=RENEW_WITH_CA=c8y"]
    assert lines[: -len(wanted) + 1] == [
        *("ExecCondition=", "ExecStartPre=", "ExecStart=", "ExecStartPost=", "ExecStop=", "ExecStopPost="),
        *("LoadCredential=tedge.key:/run/tedge-cert-renewer-key", "SetCredential=tedge.key:none"),
    ]


def test_the_one_line_that_runs_as_root_beside_thin_edge() -> None:
    """It has no word but the instance, and nothing else runs: a path, a socket and user mosquitto have no rights."""
    services = {path.name: path.read_text() for path in BESIDE.glob("*.service")}
    rooted = {name: text for name, text in services.items() if "\nUser=" not in text}
    assert list(rooted) == ["tedge-cert-renewer-mapper@.service"]
    runs = [line for text in rooted.values() for line in text.splitlines() if line.startswith("Exec")]
    assert runs == ["ExecStart=/usr/bin/systemctl try-restart tedge-mapper-%i.service"]
    lines = [line for text in services.values() for line in text.splitlines()]
    assert not [line for line in lines if re.match(r"Exec\w+=[-@:]*[+!]", line)]
    # systemd itself follows no link that user tedge can put there.
    marks = [line.partition("=")[0] for line in lines if line.startswith("Condition") and "/run/tedge" in line]
    assert marks == ["ConditionPathIsSymbolicLink"]


def test_only_a_private_key_is_handed_over(tmp_path: Path) -> None:
    """User tedge may put a link to another file of mosquitto's in the place of the key."""
    text = (BESIDE / "tedge-cert-renewer-key@.service").read_text()
    command = shlex.split(next(line for line in text.splitlines() if line.startswith("ExecStart=-")).partition("=-")[2])
    file = tmp_path / "key.pem"
    kinds = ("PRIVATE KEY", "EC PRIVATE KEY", "TSS2 PRIVATE KEY")
    pems = [f"-----BEGIN {kind}-----\nMIGH\n-----END {kind}-----\n" for kind in kinds]
    for content, sent in (*zip(pems, pems, strict=True), ("user:$7$101$secret\n", ""), (f"a\n{pems[0]}b\n", pems[0])):
        file.write_text(content)
        done = subprocess.run([*command[:-1], str(file)], capture_output=True, text=True, check=True)
        assert done.stdout == sent


def test_the_manual_knows_every_unit() -> None:
    manual = "".join(path.read_text() for path in (ROOT / "debian/man").glob("*.7"))
    named = [path.name.replace("c8y@.", "c8y@PROFILE.") for path in UNITS.rglob("*.*") if path.suffix in KINDS]
    missing = [name for name in named if name not in manual and name.replace("@.", "@c8y.") not in manual]
    assert len(named) >= 6
    assert missing == []


def test_the_page_that_a_unit_names_is_there() -> None:
    lines = "".join(path.read_text() for path in UNITS.rglob("*.*"))
    pages = set(re.findall(r"man:([a-z0-9-]+)\((\d)\)", lines))
    assert pages
    assert not [name for name, section in pages if not (ROOT / f"debian/man/{name}.{section}").exists()]
