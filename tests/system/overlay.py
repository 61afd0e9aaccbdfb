# SPDX-License-Identifier: Apache-2.0
"""A tree that is written to without changing the trees it is made of.

The overlay is mounted in a mount namespace of the command that uses it, never in the machine's own: when the
command ends, however it ends, there is nothing to unmount.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The newer mount(2) interface takes no option longer than 255 characters, which the layers together are.
_MOUNT = 'LIBMOUNT_FORCE_MOUNT2=always mount -t overlay overlay -o "$1" "$2"'
_CHROOT = f'{_MOUNT} && mount -t proc proc "$2/proc" && root=$2 && shift 2 && exec chroot "$root" "$@"'
_RUN = f'{_MOUNT} && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Overlay:
    """Read-only layers, the topmost first, below a directory that takes the changes."""

    lowers: tuple[Path, ...]
    directory: Path

    @property
    def upper(self) -> Path:
        """Return the directory of the changes: a layer for further overlays once nothing writes to it."""
        return self.directory / "upper"

    @property
    def root(self) -> Path:
        """Return where the whole tree appears, for the command that mounted it only."""
        return self.directory / "root"

    def prepare(self) -> None:
        """Create the directories that the mount needs."""
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.upper.chmod(0o755)

    def _place(self, path: str) -> Path:
        """Return where the path is in the upper layer, in directories of root's."""
        place = self.upper / path
        for parent in [*Path(path).parents][-2::-1]:
            (self.upper / parent).mkdir(exist_ok=True)
            (self.upper / parent).chmod(0o755)
        return place

    def put(self, path: str, text: str) -> None:
        """Write a file of root's before the first mount; later, the kernel would not see it."""
        place = self._place(path)
        place.write_text(text)
        place.chmod(0o644)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link before the first mount."""
        self._place(path).symlink_to(target)

    def _mounting(self, script: str, unshare: Sequence[str], argv: Sequence[str]) -> list[str]:
        lower = ":".join(str(path) for path in self.lowers)
        options = f"lowerdir={lower},upperdir={self.upper},workdir={self.directory / 'work'}"
        return ["unshare", "--mount", *unshare, "sh", "-ec", script, "sh", options, str(self.root), *argv]

    def chroot(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a command of the tree in it, with this machine's network."""
        return self._mounting(_CHROOT, ["--pid", "--fork", "--kill-child"], argv)

    def around(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a command of this machine with the tree mounted at `root`.

        It has the same process id: every step on the way to it replaces the one before.
        """
        return self._mounting(_RUN, [], argv)
