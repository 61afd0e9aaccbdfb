# SPDX-License-Identifier: Apache-2.0
"""Commands that messages name as cures, whole: with sudo, with the profile of this process, with the device id.

The hourly check uses this module, so it imports next to nothing.
"""

import errno
import os

from tedge_cert import beside

# What `tedge reconnect` gives back to their owners.
_OURS = ("/etc/tedge", "/run/tedge-cert-renewer", "/var/lib/tedge-cert-renewer")
_words = "c8y"
_pair = ("device.cert_path", "device.key_path")


def name_instance(words: str, pair: "tuple[str, str]" = _pair) -> None:
    """Name the instance that this process is about, as it is typed; cures are for this one.

    ``pair`` are the settings from which it has its certificate and its key.
    """
    global _words, _pair
    _words, _pair = words, pair


def other_key(pair: "tuple[str, str] | None" = None) -> str:
    """Return what to do about a key that does not fit its certificate, by the settings that name the two files."""
    certificate, key = pair or _pair
    return f"({key} and {certificate} name them): set the one that is wrong, or restore the file that was replaced"


def command(verb: str, *options: str) -> str:
    """Return the command of root that does ``verb`` for this instance: `sudo tedge reconnect c8y --offline`."""
    return f"`{by_root(verb, _words, *options)}`"


def by_root(verb: str, *words: str) -> str:
    """Return the command of root that does ``verb``, as it is typed on this device."""
    return " ".join(["sudo", beside.typed(f"tedge {verb}"), *words])


def trust(issuer: str) -> str:
    """Return how the tenant gets to trust ``issuer``; other words follow."""
    return (
        f"add the certificate of {issuer} to the trusted certificates of the tenant (Device management > Management > "
        f"Trusted certificates), by hand or by `{beside.typed('tedge cert upload')} {_words} --authority`"
    )


def finish() -> str:
    """Return the command that finishes an unfinished switch, or takes a candidate into use."""
    return f"`{finishing(_words)}`"


def finishing(words: str) -> str:
    """Return that command for the instance that ``words`` name."""
    return by_root("cert verify" if beside.is_beside() else "reconnect", words)


def key_refused(error: Exception, path: "str | os.PathLike[str]") -> str:
    """Return what lets this process read the private key at ``path``, which thin-edge gives to the bridge's user."""
    if not (beside.is_beside() and isinstance(error, PermissionError)):
        return f"; expected owner tedge, group mosquitto, mode 0640{_mend_key(error, path)}"
    if "INVOCATION_ID" not in os.environ:
        return f"; systemd hands it to the unit: `sudo systemctl start {_unit()}`"
    owner = _owner_of(path)
    if owner not in ("", "mosquitto"):
        return f"; it belongs to {owner}: {run_as()}"
    import shlex

    return f"; {_hand_over(shlex.quote(os.fspath(path)))}"


def run_as() -> str:
    """Return what makes the renewal run as another user than tedge."""
    return f"`sudo systemctl edit {_unit()}` sets User= and Group= (see {_PAGE})"


def other_key_handed() -> str:
    """Return what to do where systemd hands over another key than that of the instance."""
    return _hand_over(f"FILE`, the value of `{_pair[1]}")


def _hand_over(path: str) -> str:
    """Return what gives the renewal the key at ``path`` of user mosquitto: systemd hands over one key only."""
    if " " not in _words:
        return f"`sudo systemctl edit tedge-cert-renewer-key@.service` names the file to hand over (see {_PAGE})"
    return (
        f"`sudo chmod 0440 {path}`, and SupplementaryGroups=mosquitto by `sudo systemctl edit {_unit()}`, let the "
        f"renewal read it (see {_PAGE})"
    )


def _unit() -> str:
    profile = _words.partition(" --profile ")[2]
    return f"tedge-cert-renewer-c8y@{profile}.service" if profile else "tedge-cert-renewer@c8y.service"


def _owner_of(path: "str | os.PathLike[str]") -> str:
    """Return who owns a file; empty if that cannot be seen."""
    import pwd

    try:
        return pwd.getpwuid(os.stat(path).st_uid).pw_name  # noqa: PTH116 (an hour imports no pathlib)
    except (OSError, KeyError):
        return ""


def register(device_id: str = "", *options: str) -> str:
    """Return the command that registers the device; it is the last resort, because it takes a new password."""
    return f"`{registration(_words, device_id, *options)}`"


def register_again(device_id: str = "") -> str:
    """Return what registers a device whose certificate is lost or expired."""
    return f"register the device again: {register(device_id)} with a new one-time password"


def registration(words: str, device_id: str, *options: str) -> str:
    """Return the command that registers the instance that ``words`` name."""
    import shlex

    named = ["--device-id", shlex.quote(device_id)] if device_id else []
    return by_root("cert download", words, *options, *named)


def owners() -> str:
    """Return what restores owners and modes."""
    return f"{command('reconnect')} gives owners and modes back"


def mend(error: Exception) -> str:
    """Return what lets this process use the file of ``error``; nothing if it is no error of permission.

    Wrong owners are the cause only where a process of tedge's, or of root, is refused one of our own files.
    """
    if not isinstance(error, PermissionError):
        return ""
    if not _acts_as_tedge():
        return "; this needs root, or user tedge"
    if error.errno == errno.EACCES and is_ours(os.fsdecode(error.filename or _OURS[0])):
        return f"; {owners()}"
    return "; user tedge, as which the renewal runs, needs access to it"


def _mend_key(error: Exception, path: "str | os.PathLike[str]") -> str:
    """Return what lets this process read the private key at ``path``; nothing if that is not what is missing."""
    import shlex

    refused = isinstance(error, PermissionError) and _acts_as_tedge() and not is_ours(path)
    if refused and os.access(os.path.dirname(os.path.abspath(path)), os.X_OK):  # noqa: PTH100, PTH120
        return f"; `sudo chown tedge:mosquitto {shlex.quote(os.fspath(path))}` gives it to user tedge"
    return mend(error)


def is_ours(path: "str | os.PathLike[str]") -> bool:
    """Return whether `tedge reconnect` restores owner and mode of ``path``."""
    absolute = os.path.abspath(path)  # noqa: PTH100 (an hour imports no pathlib)
    return any(absolute == each or absolute.startswith(f"{each}/") for each in _OURS)


def write_refused(path: "str | os.PathLike[str]") -> str:
    """Return what lets this process write ``path``."""
    if not _acts_as_tedge():
        return "run this command as root"
    restored = is_ours(path) and os.path.dirname(os.path.abspath(path)) != _OURS[0]  # noqa: PTH100, PTH120
    return owners() if restored else let_in(os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120


def let_in(directory: str) -> str:
    """Return what lets user tedge write in ``directory``: never the gift of one that other programs rely on."""
    import shlex

    real = os.path.realpath(directory)
    if real not in _SHARED and not any(real == each or real.startswith(f"{each}/") for each in _ROOTS):
        return f"`sudo chown tedge:mosquitto {shlex.quote(directory)}` lets user tedge write there"
    key = "c8y.device.cert_path" if " " in _words else "device.cert_path"
    option = _words.removeprefix("c8y")
    return f"keep the certificate in a directory of its own: `sudo tedge config set {key} {_PLACE}{option}`"


# What lies there belongs to root or to a package ...
_ROOTS = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/sys", "/usr")
# ... and what lies here may not, but these directories themselves do.
_SHARED = ("/", "/home", "/mnt", "/opt", "/run", "/srv", "/var", "/var/lib")
_PLACE = "/etc/tedge/device-certs/tedge-certificate.pem"
_PAGE = "tedge-cert-renewer-beside(7)"


def _acts_as_tedge() -> bool:
    """Return whether this process is root's, or that of the user whose files they are."""
    import pwd

    try:
        return os.geteuid() in (0, pwd.getpwnam("tedge").pw_uid)
    except KeyError:
        return os.geteuid() == 0


def once_expired(cure: str) -> str:
    """Return ``cure`` of an expired certificate; before it, the clock, if nothing synchronises that.

    A new registration costs a one-time password, and the right time costs nothing.
    """
    from tedge_cert import systemd

    if systemd.is_clock_synchronised() is not False:
        return cure
    return f"the clock is not synchronised: if it is wrong, {clock()} and try again; otherwise {cure}"


def clock() -> str:
    """Return how the clock is set here: a container has that of its machine, and not every device has systemd."""
    if os.path.exists("/run/systemd/container"):  # noqa: PTH110
        return "set it on the machine that runs this container"
    if os.path.isdir("/run/systemd/system") and os.path.exists("/usr/bin/timedatectl"):  # noqa: PTH110, PTH112
        return "set it (see `timedatectl status`)"
    return "set it (see `date`)"
