# SPDX-License-Identifier: Apache-2.0
"""Write what OpenSSL, mosquitto and the renewal need to use a key in the TPM or in a token; root does that."""

import grp
import os
import sys
from pathlib import Path

from tedge_cert import journal, processes, systemd
from tedge_cert.commands import drop_in
from tedge_cert.config import settings as configuration
from tedge_cert.config import token_settings
from tedge_cert.config.settings import Config
from tedge_cert.config.token_settings import TokenSettings
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners, privileges
from tedge_cert.disk.owners import Access
from tedge_cert.errors import ConfigurationError, TedgeCertError
from tedge_cert.x509 import provider

# Only root writes it, and systemd reads it before it starts mosquitto.
BROKER_ENVIRONMENT = Path("/run/tedge-token.env")
# A comment in it: a PIN that the token refused was not given to mosquitto.
WITHHELD = "# The token refused the PIN.\n"
_DEVICE = "device:"
_OF_TPM, _OF_TOKEN = "52-tpm.conf", "53-token.conf"
_HEAD = "# Written by tedge hsm create-key or tedge connect: the private key is in {}.\n"
_SOFTHSM_TOKENS = "/var/lib/softhsm/tokens"
# The store of libtpm2-pkcs11 on devices that thin-edge's script set up.
_TPM2_PKCS11, _TPM2_STORE = "tpm2_pkcs11", "/etc/tedge/hsm"


def set_up(directory: str, profile: str = "") -> None:
    """Write OpenSSL's files for these settings; if they change, begin this command again, with OpenSSL set up.

    Called before root's rights go: the files follow from the settings of root alone.
    """
    try:
        config = configuration.load(directory, profile)
        if config.is_of_system and os.geteuid() != 0:
            return
        if config.is_of_system:
            privileges.keep_groups(let_in(config))
        changed = update_openssl(config)
    except (ConfigurationError, OSError) as error:
        # The command says so itself, as tedge.
        journal.debug(f"OpenSSL is not set up: {error}")
        return
    if changed and token_settings.of(config, "") is not None:
        # OpenSSL reads its configuration once, and this process began without it.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def update(instance: Instance, tpm: bool = False) -> bool:
    """Write the files that differ, and let users in; return whether mosquitto needs a restart. Raises TedgeCertError.

    ``tpm``: the key is in the TPM. Otherwise its part is kept if it is there.
    """
    changed = update_openssl(instance.config, tpm)
    if not instance.manages_services:
        return changed
    wanted = _of_tpm(instance) if tpm else {}
    # Since mosquitto 2.1 Debian starts the broker as its own user, who then opens the TPM.
    if tpm and add_to_group(owners.BROKER, provider.GROUP):
        changed = True
    if found := token_settings.of(instance.config):
        wanted |= _of_token(instance, found)
        let_in(instance.config)
    written = _write({path: (text, owners.BROKER_CONFIGURATION) for path, text in wanted.items()})
    if written:
        systemd.systemctl("daemon-reload")
    return changed or written


def has_withheld_pin() -> bool:
    """Return whether mosquitto was started without a PIN, because it was refused."""
    try:
        return WITHHELD in BROKER_ENVIRONMENT.read_text(encoding="utf-8")
    except OSError:
        return False


def update_openssl(config: Config, tpm: bool = False) -> bool:
    """Write OpenSSL's configuration for these settings, or remove it; return whether it had changed."""
    directory = Path(config.directory).absolute()
    configuration, environment = directory / provider.CONFIGURATION, directory / provider.ENVIRONMENT
    present = configuration.read_text() if configuration.exists() else ""
    tpm = tpm or provider.TPM_LINE in present
    found = token_settings.of(config, "")
    if not tpm and found is None:
        ours = provider.SECTION in present
        return ours and any([files.remove(configuration), files.remove(environment)])
    module, pin_file = (found.module, found.pin_file) if found else ("", "")
    if config.is_of_system and (why := provider.why_unsafe(str(directory), module, pin_file)):
        raise TedgeCertError(why)
    is_first_version = processes.run(["openssl", "version"]).stdout.startswith("OpenSSL 3.0.")
    reached_by = config.need("device.tpm.tcti") if tpm else ""
    texts = {
        configuration: provider.configuration_text(is_first_version, tpm, module),
        environment: provider.environment_text(str(directory), reached_by, module, pin_file),
    }
    return any([_write_pins(config), _write({each: (text, owners.CONFIGURATION) for each, text in texts.items()})])


def _write_pins(config: Config) -> bool:
    """Write PINs that are settings into files that OpenSSL reads; root and group mosquitto read these."""
    changed = False
    for each in (token_settings.of(config, ""), token_settings.of(config)):
        if each is not None and each.pin:
            changed |= _write({Path(each.pin_file): (each.pin + "\n", owners.BROKER_SECRET)})
    return changed


def _write(wanted: dict[Path, tuple[str, Access]]) -> bool:
    changed = {path: to for path, to in wanted.items() if not _has(path, to[0])}
    for path, (text, access) in changed.items():
        files.make_directory(path.parent, owners.DIRECTORY_OF_ROOT)
        files.write(path, text.encode(), access)
    return bool(changed)


def _has(path: Path, text: str) -> bool:
    try:
        return provider.is_believed(path.lstat()) and path.read_text() == text
    except FileNotFoundError:
        return False


def _of_tpm(instance: Instance) -> dict[Path, str]:
    node = _node(instance.config)
    head = _HEAD.format("the TPM")
    # mosquitto opens the TPM when it starts, and never again: it has to wait for the device.
    unit = "tpm2-abrmd.service" if instance.config.need("device.tpm.tcti").startswith("tabrmd") else ""
    if node.count("/") == 2 and "-" not in node:
        unit = f"dev-{node.removeprefix('/dev/')}.device"
    first = f"[Unit]\nWants={unit}\nAfter={unit}\n" if unit else ""
    found = {
        drop_in.UNITS / "mosquitto.service.d" / _OF_TPM: f"{head}{first}[Service]\n"
        f"EnvironmentFile=-{Path(instance.config.directory).absolute() / provider.ENVIRONMENT}\n"
    }
    if node:
        opened = f"{head}[Service]\n{_opening(node)}"
        found |= {drop_in.UNITS / f"{each}.d" / _OF_TPM: opened for each in _renewals(instance)}
    return found


def _of_token(instance: Instance, found: TokenSettings) -> dict[Path, str]:
    head = _HEAD.format("a token")
    environment = Path(instance.config.directory).absolute() / provider.ENVIRONMENT
    # What the file of the start before says.
    without = f"--unset={provider.PIN_FILE} --unset=OPENSSL_CONF"
    texts = {
        drop_in.UNITS / "mosquitto.service.d" / _OF_TOKEN: f"{head}[Service]\nEnvironmentFile=-{environment}\n"
        "# mosquitto would try a wrong PIN again whenever it connects, until the token locks itself. This tries it\n"
        "# once, and keeps it from mosquitto if it was refused.\n"
        f"ExecStartPre=-+/usr/bin/env {without} /usr/bin/tedge-hsm check-pin\nEnvironmentFile=-{BROKER_ENVIRONMENT}\n"
    }
    opened = ""
    if provider.is_softhsm(found.module):
        opened = f"ReadWritePaths=-{_SOFTHSM_TOKENS}\n"
    elif _TPM2_PKCS11 in found.module:
        opened = f"ReadWritePaths=-{_TPM2_STORE}\n{_opening(_node(instance.config))}"
    if opened:
        texts |= {drop_in.UNITS / f"{each}.d" / _OF_TOKEN: f"{head}[Service]\n{opened}" for each in _renewals(instance)}
    return texts


def _node(config: Config) -> str:
    reached_by = config.need("device.tpm.tcti")
    return reached_by.removeprefix(_DEVICE) if reached_by.startswith(f"{_DEVICE}/dev/") else ""


def _opening(node: str) -> str:
    # The dash: a unit that fails before its program starts passes for one with nothing to do.
    return f"BindPaths=-{node}\nDeviceAllow={node} rw\n" if node else ""


def _renewals(instance: Instance) -> list[str]:
    return [each for each in (instance.service, instance.registration) if each]


def let_in(config: Config) -> tuple[str, ...]:
    """Make users tedge and mosquitto members of the group that may use the tokens of SoftHSM; return that group."""
    found = token_settings.of(config, "")
    if found is None or not provider.is_softhsm(found.module):
        return ()
    for user in (privileges.USER, owners.BROKER):
        add_to_group(user, provider.SOFTHSM)
    return (provider.SOFTHSM,)


def add_to_group(user: str, group: str) -> bool:
    """Make ``user`` a member of ``group``, if there is such a group; return whether that is new."""
    try:
        members = grp.getgrnam(group).gr_mem
    except KeyError:
        return False
    if user in members:
        return False
    done = processes.run(["usermod", "--append", "--groups", group, user])
    if done.returncode:
        journal.warning(f"cannot make user {user} a member of group {group}: {done.stderr.strip()}")
    return done.returncode == 0
