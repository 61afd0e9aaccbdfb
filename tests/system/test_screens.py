# SPDX-License-Identifier: Apache-2.0
"""README's screens agree with the output of the programs."""

from demo import screens
from system import trees
from system.device import Device
from system.package import CHECKOUT
from tenant.client import Tenant


def test_readme_shows_what_a_run_shows(device: Device, tenant: Tenant, release: str) -> None:
    """`make screens` updates them."""
    found, shown = screens.capture(device, tenant), screens.shown((CHECKOUT / "README.md").read_text())
    assert set(shown) == set(screens.NAMES)
    for name in screens.NAMES:
        # The page shows Debian 13, and the unit's status is systemd's own.
        if release == "trixie" or name != "unit":
            assert _lines(shown[name], release) == _lines(found[name], release)


def _lines(screen: str, release: str) -> list[str]:
    """Return what is compared: on testing without systemd's own lines, which change from version to version."""
    return [each for each in screens.shape(screen) if release in trees.RELEASES or " systemd[0]: " not in each]


def test_a_screen_takes_its_place_and_nothing_else() -> None:
    page = "a\n<!-- screen hour, made by make screens -->\n```\nold\n```\nb\n```\nc\n```\n"
    made = screens.renewed(page, {"hour": "valid for 364d 23h until Mon, 01 Feb 2027\n"})
    assert made == page.replace("old", "valid for 364d 23h until Mon, 01 Feb 2027")
    assert screens.shape(screens.shown(made)["hour"]) == screens.shape("valid for 1y until Tue, 30 Nov 2027\n")
