# SPDX-License-Identifier: Apache-2.0
"""Which tests run again with the libraries of Debian 12."""

from pathlib import Path

from unit.libraries import libraries, pins, touches, used

UNIT = Path(__file__).resolve().parents[1]
# Both environments have the machine's.
OF_THE_MACHINE = {"systemd"}


def test_each_library_has_a_version_for_debian_12() -> None:
    """One without would be taken for the same on both."""
    assert used() - OF_THE_MACHINE == used() & pins(12).keys()


def test_those_run_again_whose_library_differs() -> None:
    assert pins(12)["asn1crypto"] == pins(13)["asn1crypto"]
    assert {"cryptography", "paho", "requests", "tomlkit", "urllib3"} < libraries()
    assert not libraries() & {"asn1crypto", *OF_THE_MACHINE}
    assert touches(UNIT / "net/test_mqtt.py")
    assert not touches(UNIT / "hourly/test_schedule.py")
    # It imports systemd's library only.
    assert not touches(UNIT / "commands/test_lives.py")
