# SPDX-License-Identifier: Apache-2.0
"""Drop root's rights for good; a process that keeps them does root's few tasks.

A command that root types drops to user tedge and group mosquitto before it reads anything that tedge can write. A
command that has tasks for root forks first: the child drops and does the whole command, and the parent does the tasks
that the child asks for. The parent takes from the child only the name of a task and a few values, which each task
checks (``commands/root_tasks.py``).
"""

import grp
import os
import pwd
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tedge_cert import beside
from tedge_cert.errors import TedgeCertError

if TYPE_CHECKING:
    from socket import socket

USER, GROUP = "tedge", "mosquitto"
RUN_DIRECTORY = "/run/tedge-cert-renewer"
Task = Callable[..., object]
# A task takes a few values; a longer message is none of ours.
_LIMIT_BYTES = 65_536

_to_root: "socket | None" = None
# Groups that may use the hardware with the private key.
_hardware_groups: list[str] = []


def accounts() -> tuple[str, str]:
    """Return the user and the group that commands of root become; beside thin-edge, those that it runs as."""
    if not beside.is_beside():
        return USER, GROUP
    user = beside.user()
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        # There is no mosquitto that has to read the files.
        return user, user
    return user, GROUP


def missing_accounts() -> list[str]:
    """List those of the user and the group that do not exist, as ``user tedge``."""
    missing, (user, group) = [], accounts()
    for kind, known, name in (("user", pwd.getpwnam, user), ("group", grp.getgrnam, group)):
        try:
            known(name)
        except KeyError:
            missing.append(f"{kind} {name}")
    return missing


def is_root() -> bool:
    """Return whether this process has root's rights, and there is a user tedge to drop to."""
    return os.geteuid() == 0 and not missing_accounts()


def is_user() -> bool:
    """Return whether this process is user tedge's, as the units are."""
    try:
        return os.geteuid() == pwd.getpwnam(accounts()[0]).pw_uid
    except KeyError:
        return False


def keep_groups(names: Iterable[str]) -> None:
    """Let ``drop`` keep those groups of user tedge; only a private key in hardware needs any."""
    _hardware_groups.extend(names)


def _kept(user: str) -> list[int]:
    found = []
    for name in _hardware_groups:
        with suppress(KeyError):
            group = grp.getgrnam(name)
            found += [group.gr_gid] if user in group.gr_mem else []
    return found


def drop() -> None:
    """Become user tedge for good (setresuid(2)); nothing happens if ``is_root`` is false.

    Of the other groups of tedge, only those of ``keep_groups`` are kept.
    Raises TedgeCertError beside thin-edge, whose settings root does not follow, if there is no such user.
    """
    if not is_root():
        if os.geteuid() == 0 and beside.is_beside():
            raise TedgeCertError(f"there is no {' and no '.join(missing_accounts())}, as whom this command would go on")
        return
    name, group_name = accounts()
    user, group = pwd.getpwnam(name).pw_uid, grp.getgrnam(group_name).gr_gid
    _make_run_directory(user, group)
    _leave_terminal()
    os.setgroups([group, *_kept(name)])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    os.umask(0o022)


def _leave_terminal() -> None:
    """Give up the terminal, on which this process could type (TIOCSTI): what it loads from now on may be of tedge.

    The library of a token, for one, reads files of tedge. Output, input and Ctrl-C go on as they were.
    """
    # The terminal of a session that this process leads ends with it, and there is no shell to type for.
    if os.getsid(0) == os.getpid():
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCNOTTY)
    os.close(terminal)


def _make_run_directory(user: int, group: int) -> None:
    """Create the directory of the locks where systemd-tmpfiles(8) does not: in /run, only root can."""
    try:
        os.mkdir(RUN_DIRECTORY, 0o755)  # noqa: PTH102 (this file is read by commands that load no pathlib)
    except OSError:
        return  # It exists, or the lock that needs it says why there is none.
    # Only root writes in /run: this is the directory that was made. Its mode was made with root's umask.
    os.chown(RUN_DIRECTORY, user, group)
    os.chmod(RUN_DIRECTORY, 0o755)  # noqa: PTH101, S103


def split(tasks: Mapping[str, Task]) -> int | None:
    """Fork: return None in the child, which has become tedge, and the child's exit code in the parent.

    The parent does the ``tasks`` for the child until the child ends. Without root's rights nothing is forked.
    """
    global _to_root  # noqa: PLW0603 (one process, one parent)
    if not is_root():
        return None
    # Here, because most commands drop without a parent.
    import signal
    import socket

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        _to_root = theirs
        drop()
        return None
    theirs.close()
    # A terminal sends Ctrl-C to both: the child ends for it, then the parent with the child's code.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    with ours:
        _serve(ours, tasks)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def has_parent() -> bool:
    """Return whether this process dropped root's rights, and a parent does tasks for it."""
    return _to_root is not None


def ask_root(task: str, **values: object) -> Any:
    """Have the parent do ``task`` and return its result; raises TedgeCertError."""
    if _to_root is None:
        raise TedgeCertError(f"{task} needs root's rights: run this command as root")
    import json

    request = json.dumps({"task": task, "values": values}).encode()
    if (size := len(request)) > _LIMIT_BYTES:
        raise TedgeCertError(f"{task}: {size} bytes for root's part, and at most {_LIMIT_BYTES} are handed over")
    _to_root.send(request)
    answer = json.loads(_to_root.recv(_LIMIT_BYTES))
    if "error" in answer:
        raise TedgeCertError(str(answer["error"]))
    return answer["result"]


def _serve(channel: "socket", tasks: Mapping[str, Task]) -> None:
    import json

    while request := channel.recv(_LIMIT_BYTES):
        answer = json.dumps(_answer(request, tasks)).encode()
        if len(answer) > _LIMIT_BYTES:
            what = f"the answer of root's part has {len(answer)} bytes, and at most {_LIMIT_BYTES} are handed over"
            answer = json.dumps({"error": what}).encode()
        channel.send(answer)


def _answer(request: bytes, tasks: Mapping[str, Task]) -> dict[str, object]:
    import json

    try:
        asked = json.loads(request)
        task, values = tasks[asked["task"]], asked["values"]
        return {"result": task(**values)}
    except TedgeCertError as error:
        return {"error": str(error)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # The child is in the hands of tedge: whatever it sends is refused in words.
        return {"error": f"root refused a task: {type(error).__name__}: {error}"}
