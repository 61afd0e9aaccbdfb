# SPDX-License-Identifier: Apache-2.0
"""Run an executable: read its arguments, and turn an exception into one line and an exit code."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

from tedge_cert import afterwards, beside, journal, systemd
from tedge_cert.cli.arguments import Parser, refuse_again
from tedge_cert.config.keys import CLOUDS
from tedge_cert.config.settings import SYSTEM_DIRECTORY, Config, directory_of
from tedge_cert.config.values import is_profile
from tedge_cert.cures import mend, name_instance, run_as
from tedge_cert.device.instance import Instance, Names, load_config, load_instance, pair_of
from tedge_cert.disk import files, owners, privileges
from tedge_cert.errors import FAILURE, ConfigurationError, TedgeCertError
from tedge_cert.x509 import provider


def _directory(words: list[str]) -> str:
    """Return the directory of the configuration that the command line names, before it is parsed."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--config-dir" or word.startswith("--config-dir="):
            return directory_of(word.partition("=")[2] or following)
    return directory_of("")


# They use no private key, so they are as quick as ever where a TPM does not answer.
_WITHOUT_KEY = (
    "tedge-cert-cleanup", "tedge-cert-needs-download", "tedge-cert-remove", "tedge-cert-show", "tedge-cert-status",
    "tedge-completions", "tedge-config", "tedge-disconnect", "tedge-init",
)  # fmt: skip
# With --online, the status shows the certificate to the tenant.
_USES_KEY = Path(sys.argv[0]).name not in _WITHOUT_KEY or "--online" in sys.argv
# Here, because an executable imports this module first: later, OpenSSL would have read its configuration already.
privileges.keep_groups(provider.enable(_directory(sys.argv), _USES_KEY))


def add_cloud(made: Parser, required: bool = False, clouds: tuple[str, ...] = tuple(CLOUDS)) -> None:
    """Add the positional cloud and ``--profile``."""
    made.add_argument("cloud", nargs=None if required else "?", choices=clouds, help="the cloud")
    add_profile(made)


def add_profile(made: Parser) -> None:
    made.environment["TEDGE_CLOUD_PROFILE"] = "as --profile"
    made.add_argument(
        "--profile",
        action=_Profile,
        default=os.environ.get("TEDGE_CLOUD_PROFILE", ""),
        metavar="NAME",
        help="the cloud profile (default: $TEDGE_CLOUD_PROFILE)",
    )


def add_authority(made: Parser, *choices: str) -> None:
    """Add ``--ca``, by default the first of these authorities."""
    made.add_argument("--ca", choices=choices, default=choices[0], help=f"who signs (default: {choices[0]})")


class _Profile(argparse.Action):
    """``--profile`` requires a cloud; otherwise the command would use the default certificate."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        refuse_again(self, namespace, option)
        if not is_profile(str(values)):
            parser.error(f"argument {option}: '{values}' cannot be a profile: expected letters, digits, - and _")
        namespace.profile, namespace.profile_by_option = str(values), True


def instance_of(arguments: argparse.Namespace, cures: bool = False, uses_key: bool = False) -> Instance:
    """Return the instance that the arguments name; raises ConfigurationError if there is no such profile.

    A command of root becomes tedge here, before it reads a path that a setting names. If it ``cures`` a renewal that
    failed, systemd forgets that failure after its success. If it ``uses_key``, root gives tedge a key that root made.
    """
    act_as_tedge(arguments, cures, uses_key)
    return loaded(arguments.cloud or "", arguments.profile, arguments.config_dir)


def loaded(cloud: str, profile: str, directory: str, known: bool = True) -> Instance:
    """Load the instance that this process is about, and warn of settings that nothing knows."""
    instance = load_instance(cloud, profile, directory, known)
    warn_of_unknown(instance.config)
    name_instance(instance.words_at_tenant, pair_of(instance))
    return instance


def need_root(arguments: argparse.Namespace) -> None:
    """Raise TedgeCertError with the command to type, if this user can do nothing with what was typed."""
    command: str = getattr(arguments, "needs_root", "")
    if not command or not is_of_system(arguments) or os.geteuid() == 0 or privileges.is_user():
        return
    if _only_reads_key(arguments):
        return
    if beside.is_beside() and systemd.unit_run():
        name_instance(" --profile ".join(each for each in ("c8y", getattr(arguments, "profile", "")) if each))
        raise TedgeCertError(f"{beside.DIRECTORY} belongs to {beside.user()}, as whom this unit has to run: {run_as()}")
    raise TedgeCertError(f"this needs root: {with_sudo(command.split() + sys.argv[1:])}")


def _only_reads_key(arguments: argparse.Namespace) -> bool:
    """Return whether a signing request goes to a file of the caller's, and the caller may read the key."""
    if getattr(arguments, "output_path", None) is None:
        return False
    instance = load_instance(arguments.cloud or "", arguments.profile, arguments.config_dir)
    return os.access(instance.key_file, os.R_OK)


# Options whose value is a secret.
_SECRETS = ("-p", "--one-time-password", "--pin")


def with_sudo(words: list[str]) -> str:
    """Return a command as root has to type it; sudo drops the environment, and a password is not repeated."""
    profile = os.environ.get("TEDGE_CLOUD_PROFILE")
    kept = ["env", f"TEDGE_CLOUD_PROFILE={profile}"] if profile else []
    shown = [
        "PASSWORD" if before in _SECRETS else _without_secret(each)
        for before, each in zip(["", *words], words, strict=False)
    ]
    import shlex

    return shlex.join(["sudo", *kept, *shown])


def _without_secret(word: str) -> str:
    """Return ``word`` without the secret that is attached to its option, as in ``-psecret`` and ``--pin=secret``."""
    for option in _SECRETS:
        start = f"{option}=" if option.startswith("--") else option
        if word.startswith(start) and word != start:
            return f"{start}PASSWORD"
    return word


def act_as_tedge(arguments: argparse.Namespace, cures: bool = False, uses_key: bool = False) -> None:
    """Drop root's rights for good, save in a trial: root named its configuration, and is trusted with its paths."""
    need_root(arguments)
    # A file that the caller names is read and written with the caller's rights.
    if getattr(arguments, "csr_path", None) is not None:
        arguments.csr_path = files.CallerFile.read(arguments.csr_path)
    if not is_of_system(arguments):
        return
    # thin-edge's files keep the owners that it gave them.
    if uses_key and privileges.is_root() and not beside.is_beside():
        _restore_owners(arguments)
    output = getattr(arguments, "output_path", None)
    if cures and not beside.is_beside():
        _reset_unit_after(arguments)
    elif output is None:
        privileges.drop()
    elif (code := privileges.split({"write_request": partial(_write_request, output.absolute())})) is not None:
        os._exit(code)


def _restore_owners(arguments: argparse.Namespace) -> None:
    """Give tedge the files that it owns by the settings; the command itself says what is wrong with these."""
    from tedge_cert.device import ownership

    with suppress(ConfigurationError):
        ownership.restore(load_instance(arguments.cloud or "", arguments.profile, SYSTEM_DIRECTORY, known=False))


def _reset_unit_after(arguments: argparse.Namespace) -> None:
    """Go on as tedge in a child; if the child succeeds, root resets the unit of the instance that it typed."""
    if (code := privileges.split({})) is None:
        return
    # As the settings name it: in small letters, and without a cloud none.
    profile = arguments.profile.lower() if arguments.cloud else ""
    if code == 0 and systemd.is_running() and (not profile or is_profile(profile)):
        systemd.reset_failed(Names(arguments.cloud or "", profile).service)
    os._exit(code)


def _write_request(path: Path, pem: str) -> None:
    """Write a signing request to the path that root typed."""
    if not pem.startswith("-----BEGIN CERTIFICATE REQUEST-----\n"):
        raise ValueError("expected a certificate signing request")
    files.write(path, pem.encode("ascii"), owners.CERTIFICATE)


def is_of_system(arguments: argparse.Namespace) -> bool:
    """Return whether the arguments mean the configuration that the services of the system read."""
    return provider.is_of_system(directory_of(arguments.config_dir))


def config_of(arguments: argparse.Namespace) -> Config:
    """Load the settings of the instance that the arguments name, as tedge; raises ConfigurationError."""
    act_as_tedge(arguments)
    config = load_config(arguments.cloud or "", arguments.profile, arguments.config_dir)
    warn_of_unknown(config)
    return config


def warn_of_unknown(config: Config) -> None:
    """Name the settings that nothing knows, unless a unit runs this command: it would name them each time."""
    if journal.is_journal():
        return
    from tedge_cert.config import unknown_keys

    for each in unknown_keys.unknown(config):
        opens = f" `{each.cure}` opens the file there" if each.file and each.near else ""
        journal.warning(each.what + opens)


def run(main: Callable[[], int | None]) -> None:
    """Run ``main`` and end the process with its code, or with one line and the code of the error.

    An unforeseen error is a traceback and code 1.
    """
    try:
        code = main() or 0
        # Here, because an error at the end of the process would not be caught.
        sys.stdout.flush()
    except TedgeCertError as error:
        if "--debug" in sys.argv:
            import traceback

            traceback.print_exc()
        if not error.is_logged:
            journal.error(str(error))
        code = error.exit_code
    except PermissionError as error:
        journal.error(f"cannot get at {error.filename}: {error.strerror}{mend(error)}")
        code = FAILURE
    except KeyboardInterrupt:
        journal.error("interrupted")
        code = 128 + 2
    except BrokenPipeError:
        # The reader of our output has ended (`| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILURE
    finally:
        afterwards.finish()
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process at once; an orderly shutdown of the interpreter takes a twentieth of the time of a step."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or FAILURE
    os._exit(code)
