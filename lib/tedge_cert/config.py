# SPDX-License-Identifier: Apache-2.0
"""The configuration as the programs read it: ``tedge.toml``, profiles, and ``TEDGE_*`` overrides.

The hourly check reads its settings through this module, so nothing slow is imported at the top.
"""

import os

from tedge_cert.config_keys import KEYS
from tedge_cert.errors import ConfigurationError, UnknownKeyError
from tedge_cert.values import Value, bracketed, duration_s, split_endpoint, to_text

Tree = dict[str, object]
SYSTEM_DIRECTORY = "/etc/tedge"


class Config:
    """Settings of one cloud profile ("" for the default one), each resolved when it is asked for.

    In order: environment, ``mapper.toml`` of thin-edge 2.x for the keys of a cloud, ``tedge.toml``, default.
    """

    def __init__(self, directory: str, profile: str, trees: dict[str, Tree]) -> None:
        self.directory = directory
        self.profile = profile
        # By path of the file; that of the mapper, where there is one, holds the c8y table alone.
        self._trees = trees

    @property
    def is_of_system(self) -> bool:
        """Whether this is what the services of the system read, and not a configuration of a trial elsewhere."""
        return self.directory.rstrip("/") == SYSTEM_DIRECTORY

    @property
    def file(self) -> str:
        """The path of ``tedge.toml``."""
        return f"{self.directory}/tedge.toml"

    def stored(self, name: str) -> tuple[Value | None, str]:
        """The value of ``name`` as set by environment or file, and where it came from; None if it is unset."""
        variable = "TEDGE_" + self.full_name(name).upper().replace(".", "_").replace("-", "_")
        text = os.environ.get(variable)
        if text is not None:
            return self._checked(name, text, f"the environment variable {variable}"), variable
        path, keys = self.place(name)
        node: object = self._trees.get(path, {})
        for part in keys:
            if not isinstance(node, dict):
                raise ConfigurationError(f"{path}: expected a table above {self.full_name(name)}")
            node = node.get(part)
            if node is None:
                return None, path
        return self._typed(name, node, path), path

    def place(self, name: str) -> tuple[str, list[str]]:
        """The file that holds ``name``, and the path of tables within it."""
        full = self.full_name(name)
        mapper = self.mapper_file()
        if full.startswith("c8y.") and mapper in self._trees:
            return mapper, name.split(".")[1:]
        return self.file, full.split(".")

    def mapper_file(self) -> str:
        """Where thin-edge 2.x keeps the keys of this cloud profile, if it does."""
        return f"{self.directory}/mappers/c8y{'.' + self.profile if self.profile else ''}/mapper.toml"

    def full_name(self, name: str) -> str:
        """The key of this profile: ``c8y.url`` is ``c8y.profiles.p.url`` for the profile ``p``."""
        if self.profile and name.startswith("c8y."):
            return f"c8y.profiles.{self.profile}.{name[4:]}"
        return name

    def get(self, name: str) -> Value | None:
        """The value of a known key, derived or default where it is unset; None if there is none."""
        key = KEYS.get(name)
        if key is None:
            raise UnknownKeyError(unknown_key(name))
        value, _ = self.stored(name)
        if value is None and key.derived:
            base = self.get(key.derived[0])
            return f"{bracketed(str(base))}{key.derived[1]}" if base is not None and key.derived[1] else base
        if value is not None and key.derived and key.derived[1]:
            # An endpoint without a port gets that of its protocol.
            host, port = split_endpoint(str(value), int(key.derived[1][1:]))
            return f"{host}:{port}"
        return key.default if value is None else value

    def need(self, name: str) -> str:
        """The value of ``name`` as text; raises ConfigurationError with the command that sets it."""
        value = self.get(name)
        if value is None:
            derived = KEYS[name].derived
            wanted = derived[0] if derived else name
            option = f" --profile {self.profile}" if self.profile else ""
            raise ConfigurationError(
                f"no value for '{self.full_name(wanted)}'; set one with `tedge config set {wanted} <value>{option}`"
            )
        return to_text(value)

    def seconds(self, name: str) -> int:
        """A duration in seconds."""
        return duration_s(self.need(name))

    def names(self, name: str) -> list[str]:
        """A list of names."""
        value = self.get(name)
        return value if isinstance(value, list) else []

    def profiles(self) -> list[str]:
        """The profiles that ``tedge.toml`` has tables for."""
        node: object = self._trees.get(self.file, {})
        for part in ("c8y", "profiles"):
            node = node.get(part, {}) if isinstance(node, dict) else {}
        return sorted(node) if isinstance(node, dict) else []

    def _typed(self, name: str, value: object, path: str) -> Value:
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            text = ",".join(value)
        elif isinstance(value, bool | str | int):
            text = to_text(value)
        else:
            raise ConfigurationError(f"{path}: {self.full_name(name)} has a value of the wrong type")
        checked = self._checked(name, text, path)
        # A number where text belongs is as wrong as the other way round; durations may be either.
        if type(checked) is not type(value) and not KEYS[name].is_duration:
            kinds = {bool: "true or false", int: "a number", str: "text in quotes", list: "a list"}
            raise ConfigurationError(
                f"{path}: {self.full_name(name)} is {kinds[type(value)]}, expected {kinds[type(checked)]}"
            )
        return checked

    def _checked(self, name: str, text: str, source: str) -> Value:
        try:
            return KEYS[name].parse(text)
        except ValueError as error:
            raise ConfigurationError(f"{source}: {self.full_name(name)} = {text!r}: {error}") from error


def load(directory: str = "", profile: str = "") -> Config:
    """The configuration in ``directory`` (default ``$TEDGE_CONFIG_DIR``, else /etc/tedge) for ``profile``.

    Raises ConfigurationError when a file is not TOML (with line and column) or cannot be read.
    """
    directory = directory or os.environ.get("TEDGE_CONFIG_DIR") or SYSTEM_DIRECTORY
    plain = profile.replace("-", "").replace("_", "")
    if profile and not (plain.isascii() and plain.isalnum()):
        raise ConfigurationError(f"'{profile}' cannot be a profile: expected letters, digits, - and _")
    config = Config(directory, profile.lower(), {})
    trees = {path: tree for path in (config.file, config.mapper_file()) if (tree := _parse(path)) is not None}
    return Config(directory, profile.lower(), trees)


def need_profile(config: Config) -> Config:
    """``config``, known to have its profile; raises ConfigurationError."""
    if config.profile and config.profile not in config.profiles() and not os.path.exists(config.mapper_file()):  # noqa: PTH110
        known = ", ".join(config.profiles()) or "none"
        raise ConfigurationError(
            f"no profile '{config.profile}' in {config.file} (known: {known}); "
            f"set one up with `tedge config set c8y.url <host> --profile {config.profile}`"
        )
    return config


def unknown_key(name: str) -> str:
    """A message for a key that does not exist, with the one that was probably meant."""
    from difflib import get_close_matches

    near = get_close_matches(name, KEYS, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"unknown configuration key '{name}'{hint} (`tedge config list --all` shows all keys)"


def _parse(path: str) -> Tree | None:
    """The TOML file at ``path``; None if there is none, an empty one costs no parser."""
    try:
        # Not blocking, because a pipe put there by mistake would hold up every check from then on.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
            content = file.read() or b""
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}; expected mode 0644") from error
    if not content.strip():
        return {}
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        end = content.rstrip().count(b"\n") + 1, len(content.rstrip().rpartition(b"\n")[2]) + 1
        reason = str(error).replace("at end of document", f"at line {end[0]}, column {end[1]}, where the file ends")
        raise ConfigurationError(f"{path} is not valid TOML: {reason}; mend the file by hand") from error
