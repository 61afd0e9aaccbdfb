# SPDX-License-Identifier: Apache-2.0
"""Read the configuration: ``tedge.toml``, profiles, and ``TEDGE_*`` overrides.

The hourly check reads its settings through this module, so nothing slow is imported at the top.
"""

import binascii
import os

from tedge_cert import cures
from tedge_cert.config.keys import CLOUDS, find, flat
from tedge_cert.config.values import Value, bracketed, is_profile, split_endpoint, to_text
from tedge_cert.disk import aliases
from tedge_cert.durations import duration_s
from tedge_cert.errors import ConfigurationError

# Not from typing, which would cost the hourly check five milliseconds; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Tree = dict[str, object]
SYSTEM_DIRECTORY = "/etc/tedge"
MOVE = "`sudo tedge config upgrade`"
# Those that thin-edge has given its file.
VERSIONS = ("1", "2")
# Editors of other systems begin a file in UTF-8 with it; TOML does not know it.
BOM = b"\xef\xbb\xbf"


class Config:
    """Settings of one cloud profile ("" for the default one), resolved at each call.

    In order: environment, ``mapper.toml`` of thin-edge 2.x for the keys of a cloud, ``tedge.toml``, default.
    """

    def __init__(self, directory: str, profile: str) -> None:
        self.directory = directory
        self.profile = profile
        # By path of the file, each read once; the file of a mapper holds only the table of its cloud.
        self.trees: dict[str, Tree | None] = {}
        # The directories that were searched for files of mappers: a file can appear there, or go.
        self.searched: list[str] = []
        self._mappers: list[str] | None = None
        # Each key looks for its own among them.
        self._variables = [each for each in os.environ if each.startswith("TEDGE_")]

    @property
    def is_of_system(self) -> bool:
        """Whether the services of the system read this configuration, not only a trial elsewhere."""
        return aliases.is_same(self.directory, SYSTEM_DIRECTORY)

    @property
    def file(self) -> str:
        return f"{self.directory}/tedge.toml"

    @property
    def option(self) -> str:
        """The option that names this profile on a command line, after a blank; empty for the default profile."""
        return f" --profile {self.profile}" if self.profile else ""

    def stored(self, name: str) -> tuple[Value | None, str]:
        """Return the value of ``name`` from environment (empty: unset) or file, and its origin; None if it is unset."""
        key = find(name)
        variable = self.variable(name)
        text = os.environ.get(variable)
        if text is not None:
            try:
                return key.of_variable(text) if text else None, variable
            except ValueError as error:
                raise ConfigurationError(f"the environment variable {variable}: {text!r}: {error}") from error
        return self.in_file(name)

    def in_file(self, name: str) -> tuple[Value | None, str]:
        """Return the value of ``name`` in its file, and the file; None if it is not set there."""
        path, parts = self.place(name)
        node = self.at(path, parts, name)
        if node is None:
            return None, path
        try:
            return find(name).typed(node), path
        except ValueError as error:
            raise ConfigurationError(f"{path}: {'.'.join(self.above(path) + parts)} {error}") from error

    def is_set(self, name: str) -> bool:
        """Return whether environment or file set ``name`` itself; otherwise its value is derived, or a default."""
        return self.stored(name)[0] is not None

    def variable(self, name: str) -> str:
        """Return the variable that sets ``name``, or would; raises ConfigurationError if two do."""
        found = []
        if self._variables:
            wanted = {flat(each).replace("-", "_") for each in self._spellings(name)}
            found = [each for each in self._variables if flat(each[6:].lower()) in wanted]
        if len(found) > 1:
            raise ConfigurationError(
                f"{' and '.join(sorted(found))} in the environment both set {self.full_name(name)}: unset one of them"
            )
        return found[0] if found else "TEDGE_" + flat(self.full_name(name)).upper().replace("-", "_")

    def _spellings(self, name: str) -> list[str]:
        """Return the present and the former names of a key in this profile; each can have ``_`` for dots."""
        return [self.full_name(each) for each in (name, *find(name).old)]

    def at(self, path: str, parts: list[str], name: str) -> object:
        """Return what the file at ``path`` has at the ``place`` of a key, unchecked; None if nothing."""
        node: object = self.tree(path) or {}
        for part in parts:
            if not isinstance(node, dict):
                raise ConfigurationError(f"{path}: expected a table above {self.full_name(name)}")
            node = node.get(part)
            if node is None:
                return None
        return node

    def _written(self, path: str, names: list[str]) -> list[list[str]]:
        """Return where the file at ``path`` sets a key that has these names."""
        tree = self.tree(path) or {}
        return [place for each in dict.fromkeys(map(flat, names)) for place in _places(tree, each)]

    def tree(self, path: str) -> Tree | None:
        """Return the content of the file at ``path``; None if it does not exist."""
        if path not in self.trees:
            tree = _parse(path)
            if tree and path == self.file:
                _check_version(path, tree)
            self.trees[path] = tree
        return self.trees[path]

    def place(self, name: str) -> tuple[str, list[str]]:
        """Return the file that holds ``name``, and the tables and the key in it, as they are spelt there.

        Raises ConfigurationError if the file sets the key twice, in two spellings.
        """
        cloud = cloud_of(name)
        path, names = self.file, self._spellings(name)
        if cloud and self.is_in_mappers(cloud):
            path, names = self.mapper_file(cloud), [each.partition(".")[2] for each in (name, *find(name).old)]
        found = self._written(path, names)
        if len(found) > 1:
            from tedge_cert.config import toml_errors

            both = [".".join(self.above(path) + each) for each in found]
            raise ConfigurationError(
                f"{path} sets {self.full_name(name)} twice, as '{both[0]}' and as '{both[1]}': remove one of them; "
                f"`{toml_errors.editor_at(path, both[1])}` opens the file there"
            )
        return path, found[0] if found else names[0].split(".")

    def above(self, path: str) -> list[str]:
        """Return the tables that the names of keys have in front of those in the file at ``path``."""
        if path == self.file:
            return []
        cloud, _, profile = path.split("/")[-2].partition(".")
        return [cloud, "profiles", profile] if profile else [cloud]

    def is_in_mappers(self, cloud: str) -> bool:
        """Return whether the keys of ``cloud`` are in files of thin-edge 2.x, so that ``tedge.toml`` has none of them.

        One file is enough: a profile without one is then unknown. A cloud without any follows the others, as long as
        ``tedge.toml`` has no cloud at all.
        """
        if self.tree(self.mapper_file(cloud)) is not None:
            return True
        found = self.mappers()
        if any(each.partition(".")[0] == cloud for each in found):
            return True
        return bool(found) and not any(flat(each) in CLOUDS for each in self.tree(self.file) or {})

    def unread(self) -> list[str]:
        """List the clouds whose settings in ``tedge.toml`` nothing reads, because they have files below ``mappers``."""
        tree = self.tree(self.file) or {}
        return [each for each in CLOUDS if tree.get(each) and self.is_in_mappers(each)]

    def mappers(self) -> list[str]:
        """List the directories that hold the file of a cloud: ``c8y``, ``c8y.<profile>``; raises ConfigurationError."""
        if self._mappers is None:
            root = f"{self.directory}/mappers"
            names = _of_clouds(root)
            self.searched = [root, *(f"{root}/{each}" for each in names)]
            self._mappers = [each for each in names if _is_there(f"{root}/{each}/mapper.toml")]
        return self._mappers

    def mapper_file(self, cloud: str = "c8y") -> str:
        """Return the path at which thin-edge 2.x keeps the keys of this cloud profile."""
        return f"{self.directory}/mappers/{cloud}{'.' + self.profile if self.profile else ''}/mapper.toml"

    def full_name(self, name: str) -> str:
        """Return the key in this profile: ``c8y.url`` is ``c8y.profiles.p.url`` for the profile ``p``."""
        if self.profile and (cloud := cloud_of(name)):
            return f"{cloud}.profiles.{self.profile}.{name[len(cloud) + 1 :]}"
        return name

    def get(self, name: str) -> Value | None:
        """Return the value of a known key, derived or default if it is unset; None if it has none."""
        key = find(name)
        value, _ = self.stored(name)
        if value is None:
            found = (self.get(each) for each in key.follows)
            value = next((each for each in found if each is not None), None)
            if value is not None and key.port:
                return f"{bracketed(str(value)).lower()}:{key.port}"
        elif key.port:
            # An endpoint without a port gets that of its protocol.
            host, port = split_endpoint(str(value), key.port)
            return f"{host.lower()}:{port}"
        return key.default_in(self.directory) if value is None else value

    def text(self, name: str) -> str | None:
        """Return the value of ``name`` as text; None if it has none."""
        value = self.get(name)
        return None if value is None else to_text(value)

    def need(self, name: str) -> str:
        """Return the value of ``name`` as text; raises ConfigurationError with the command that sets it."""
        value = self.text(name)
        if value is None:
            wanted = next(iter(find(name).follows), name)
            cure = f"set one with `sudo tedge config set {wanted} <value>{self.option}`"
            if (place := self.place(wanted)[0]) != self.file and self._written(self.file, self._spellings(wanted)):
                cure = f"the one in {self.file} is not read: {MOVE} moves it to {place}"
            raise ConfigurationError(f"no value for '{self.full_name(wanted)}'; {cure}")
        return value

    def seconds(self, name: str) -> int:
        """Return a duration in seconds."""
        return duration_s(self.need(name))

    def names(self, name: str) -> list[str]:
        """Return a list of names, without blanks and empty ones."""
        value = self.get(name)
        return [each.strip() for each in value if each.strip()] if isinstance(value, list) else []

    def of_profile(self, profile: str) -> "Config":
        """Return the settings of another profile, from the same reading of the file that they share.

        Raises ConfigurationError as ``load`` does.
        """
        other = Config(self.directory, _profile(profile))
        other.trees = {self.file: self.tree(self.file)}
        other.tree(other.mapper_file())
        return other

    def check(self) -> None:
        """Raise ConfigurationError if a key of this profile has an invalid value."""
        from tedge_cert.config.keys.table import KEYS

        for name in KEYS:
            self.stored(name)

    def profiles(self, cloud: str = "c8y") -> list[str]:
        """Return the profiles that have keys in a file or in the environment."""
        from tedge_cert.config import profile_names

        return profile_names.names(self.profiles_of_files(cloud), cloud)

    def profiles_of_files(self, cloud: str) -> list[str]:
        """Return the profiles that have keys in a file."""
        from tedge_cert.config import profile_names

        if not self.is_in_mappers(cloud):
            return profile_names.of_tree(self.tree(self.file), cloud)
        return [each.partition(".")[2] for each in self.mappers() if each.startswith(f"{cloud}.")]


def fingerprint(config: Config) -> str:
    """Return a short mark of all settings, by files and ``TEDGE_*``; it changes with them, not with comments."""
    environment = sorted((name, text) for name, text in os.environ.items() if name.startswith("TEDGE_"))
    read = (config.directory, config.profile, config.tree(config.file), config.tree(config.mapper_file()), environment)
    return f"{binascii.crc32(repr(read).encode('utf-8', 'backslashreplace')):08x}"


def _places(tree: Tree, wanted: str) -> list[list[str]]:
    """Return where ``tree`` has a key, given as ``flat`` has it."""
    found = []
    for name, node in tree.items():
        written = flat(name)
        if written == wanted:
            found.append([name])
        elif isinstance(node, dict) and wanted.startswith(f"{written}_"):
            found += [[name, *each] for each in _places(node, wanted[len(written) + 1 :])]
    return found


def leaves(tree: Tree) -> "Iterator[tuple[str, ...]]":
    """Yield the tables and the key of every value."""
    for name, node in tree.items():
        if isinstance(node, dict):
            for each in leaves(node):
                yield name, *each
        else:
            yield (name,)


def _check_version(path: str, tree: Tree) -> None:
    """Raise ConfigurationError for a file of a version that may mean something else by the same words."""
    table = tree.get("config")
    version = table.get("version", VERSIONS[0]) if isinstance(table, dict) else VERSIONS[0]
    if version not in VERSIONS:
        from tedge_cert.config import toml_errors

        known = " or ".join(f'"{each}"' for each in VERSIONS)
        raise ConfigurationError(
            f"{path}: config.version = {version!r}: expected {known}, as this version of the package knows no other; "
            f"`{toml_errors.editor_at(path, 'config.version')}` opens the file there"
        )


def cloud_of(name: str) -> str:
    """Return the cloud of a key that profiles can set, or ""."""
    cloud = name.partition(".")[0]
    return cloud if cloud in CLOUDS else ""


def key_for(cloud: str, name: str) -> str:
    """Return the key of ``cloud``, or that of the device itself without a cloud: ``c8y.device.id``, ``device.id``."""
    return f"{cloud}.{name}" if cloud else name


def directory_of(named: str) -> str:
    """Return the directory of the configuration: as a command line ``named`` it, $TEDGE_CONFIG_DIR, or /etc/tedge."""
    return named or os.environ.get("TEDGE_CONFIG_DIR") or SYSTEM_DIRECTORY


def load(directory: str = "", profile: str = "") -> Config:
    """Load the configuration in ``directory`` (see ``directory_of``) for ``profile``.

    Raises ConfigurationError when a file is not TOML (with line and column) or cannot be read.
    """
    config = Config(directory_of(directory), _profile(profile))
    config.tree(config.file)
    config.tree(config.mapper_file())
    return config


def _profile(name: str) -> str:
    if name and not is_profile(name):
        raise ConfigurationError(f"'{name}' cannot be a profile: expected letters, digits, - and _")
    return name.lower()


def need_profile(config: Config, cloud: str = "") -> Config:
    """Return ``config`` if its profile exists; raises ConfigurationError."""
    cloud, profile = cloud or "c8y", config.profile
    if not profile or profile in (found := config.profiles_of_files(cloud)):
        return config
    from tedge_cert.config import profile_names

    if not profile_names.is_in_environment(cloud, profile):
        place = f"{config.directory}/mappers" if config.is_in_mappers(cloud) else config.file
        known = ", ".join(profile_names.names(found, cloud)) or "none"
        cure = f"set one up with `sudo tedge config set {cloud}.url <host> --profile {profile}`"
        if profile in profile_names.of_tree(config.tree(config.file), cloud):
            cure = f"{config.file} has one, which is not read: {MOVE} moves it there"
        raise ConfigurationError(f"no profile '{profile}' of {cloud} in {place} (known: {known}); {cure}")
    return config


def _of_clouds(mappers: str) -> list[str]:
    """List the directories of clouds and their profiles; thin-edge has mappers of other kinds too."""
    try:
        names = os.listdir(mappers)  # noqa: PTH208 (pathlib is not imported in the hourly path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(mappers, error, "0755") from error
    parts = ((each, *each.partition(".")) for each in names)
    return [each for each, cloud, dot, profile in parts if cloud in CLOUDS and (not dot or is_profile(profile))]


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error, "0644, in directories of mode 0755") from error
    return True


def _unreadable(path: str, error: OSError, mode: str) -> ConfigurationError:
    return ConfigurationError(f"cannot read {path}: {error.strerror}; expected mode {mode}{cures.mend(error)}")


def _parse(path: str) -> Tree | None:
    """Parse the TOML file at ``path``; None if it does not exist. An empty file does not load the parser."""
    try:
        # Not blocking, because a pipe put there by mistake would block every later check.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
            content = file.read() or b""
    except FileNotFoundError:
        # A link whose target is still to be written is an empty file.
        return {} if os.path.islink(path) else None  # noqa: PTH114 (pathlib is not imported in the hourly path)
    except OSError as error:
        raise _unreadable(path, error, "0644") from error
    content = content.removeprefix(BOM)
    if not content.strip(b" \t\n"):  # a carriage return alone is no blank in TOML
        return {}
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        from tedge_cert.config import toml_errors

        raise ConfigurationError(toml_errors.describe(path, content, error)) from error
