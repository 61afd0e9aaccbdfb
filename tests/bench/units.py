# SPDX-License-Identifier: Apache-2.0
"""The renewer's unit taken apart: what confines it, the same reset, and peers with or without it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from system.device import Device
from system.renewer import SERVICE

UNITS = "/run/systemd/system"
Directive = tuple[str, str]

# Directives of the unit that confine nothing; every other one counts as confinement.
_PLAIN = {"Type", "NotifyAccess", "Environment", "TimeoutStartSec", "User", "Group", "UMask"}
# Values by which a directive that is no switch returns to its default (systemd.exec(5)); a list is emptied.
_DEFAULTS = {
    "CapabilityBoundingSet": "~",
    "KeyringMode": "private",
    "LimitCORE": "infinity",
    "ProcSubset": "all",
    "ProtectHome": "no",
    "ProtectProc": "default",
    "ProtectSystem": "no",
}
_SWITCH = ("yes", "no", "true", "false", "on", "off", "1", "0")


class NotResetError(Exception):
    """The drop-in leaves something of the confinement in force."""


@dataclass(frozen=True)
class RenewerUnit:
    """The file of the renewer's unit, by sections."""

    text: str
    service: tuple[Directive, ...]
    """the directives of [Service]"""

    @classmethod
    def of(cls, device: Device) -> "RenewerUnit":
        """Read the file that the device has."""
        text = device.read(device.unit(SERVICE, "FragmentPath")["FragmentPath"])
        return cls(text, tuple(_directives(text, "[Service]")))

    @property
    def confinement(self) -> tuple[Directive, ...]:
        """Return the directives that confine."""
        return tuple(each for each in self.service if each[0] not in _PLAIN and not each[0].startswith("Exec"))

    @property
    def confined_by(self) -> list[str]:
        """Return the names of those directives, each once."""
        return list(dict.fromkeys(name for name, _ in self.confinement))

    @property
    def identity(self) -> tuple[Directive, ...]:
        """Return the directives that say as whom it runs."""
        return tuple(each for each in self.service if each[0] in ("User", "Group", "UMask"))

    def reset(self) -> str:
        """Return a drop-in after which nothing confines any more."""
        directives = [(name, _default(name, value)) for name, value in self.confinement]
        return _section(dict.fromkeys(directives))

    def confine(self) -> str:
        """Return a drop-in that confines another service as this one, with its user."""
        return _section([*self.identity, *self.confinement])

    def peer(self, commands: Sequence[str], confinement: Iterable[Directive] = ()) -> str:
        """Return a service that runs commands one after the other as the renewer's user."""
        lines = [("ExecStart", command) for command in commands]
        service = _section([("Type", "oneshot"), *self.identity, *confinement, *lines])
        return f"[Unit]\nStartLimitIntervalSec=0\n\n{service}"


def _directives(text: str, wanted: str) -> Iterable[Directive]:
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped
        elif section == wanted and stripped and stripped[0] not in "#;":
            name, _, value = stripped.partition("=")
            yield name.strip(), value.strip()


def _default(name: str, value: str) -> str:
    return _DEFAULTS.get(name, "no" if value.lower() in _SWITCH else "")


def _section(directives: Iterable[Directive]) -> str:
    return "\n".join(["[Service]", *(f"{name}={value}" for name, value in directives), ""])


def install(device: Device, name: str, text: str, drop_in: str = "") -> None:
    """Give the device a unit until its next boot; `drop_in` is for this instance of a template only."""
    prefix, at, _ = name.partition("@")
    file = f"{prefix}@.service" if at else name
    device.write(f"{UNITS}/{file}", text)
    if drop_in:
        device.write(f"{UNITS}/{name}.d/50-bench.conf", drop_in)
    device.keep_loaded(name)


def check_reset(device: Device, unit: str, bare: str, directives: Sequence[str]) -> None:
    """Raise NotResetError unless those directives are in `unit` what they are in a bare one."""
    left = device.unit(unit, *directives)
    default = device.unit(bare, *directives)
    differing = [f"{name}={left[name]}" for name in left if left[name] != default.get(name)]
    if differing or not left:
        raise NotResetError(f"{unit} is still confined: {', '.join(differing) or 'nothing is known of it'}")


def exposure(device: Device, unit: str) -> str:
    """Return the overall exposure by `systemd-analyze security`."""
    shown = device.run(["systemd-analyze", "--no-pager", "security", unit]).stdout
    overall = next(line for line in shown.splitlines() if "Overall exposure level" in line)
    return overall.rpartition(": ")[2].split()[0]
