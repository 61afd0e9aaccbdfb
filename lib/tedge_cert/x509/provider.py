# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's providers for a key in a TPM or a token: root writes their configuration, every program takes it.

OpenSSL reads its configuration once, when the first library uses it. So this is done before such a library is imported,
and nothing slow is imported here.
"""

import os
import stat

from tedge_cert import beside
from tedge_cert.disk import aliases
from tedge_cert.processes import DESCRIPTORS

CONFIGURATION, ENVIRONMENT = "openssl.cnf", "openssl.env"
# The group that Debian lets use the TPM, and the daemon for it; the group of SoftHSM's tokens.
GROUP, SOFTHSM = "tss", "softhsm"
# The PKCS#11 library, and the file of the PIN, which OpenSSL's configuration names by this variable.
MODULE, PIN_FILE = "CRYPTOKI_MODULE", "CRYPTOKI_PIN_FILE"
# The only names that are taken from the file.
VARIABLES = ("OPENSSL_CONF", "TPM2OPENSSL_TCTI", "TSS2_LOG", MODULE, PIN_FILE)
# What the providers and the libraries below them read; everything else of the environment is kept from our children.
PASSED = (
    *VARIABLES, "OPENSSL_MODULES", "TPM2_PKCS11_TCTI", "TPM2_PKCS11_STORE", "SOFTHSM2_CONF", "DBUS_SYSTEM_BUS_ADDRESS",
    "PKCS11SPY", "PKCS11SPY_OUTPUT",
)  # fmt: skip
# In the directory that systemd gives a unit for its credentials.
PIN_CREDENTIAL = "tedge.token-pin"
# OpenSSL 3.0 gives the key to its own provider, unless it is told to prefer the TPM's; the TPM would then hash and
# encipher too, which takes minutes. Later versions find the provider of the key by themselves.
PREFERENCE = """\
alg_section = tedge_algorithms
random = tedge_random

[tedge_algorithms]
default_properties = ?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes

[tedge_random]
random = HASH-DRBG
digest = SHA256
"""


# As many links as the kernel follows (path_resolution(7)).
_MOST_LINKS = 40

_directory = ""
_why_off = ""


def enable(directory: str, uses_key: bool = True) -> tuple[str, ...]:
    """Have this process and its children use the providers that are configured in ``directory``, if it ``uses_key``.

    Return the groups that may use the hardware. The configuration names libraries that OpenSSL loads into this process,
    which may be root's; so it is believed only if root or this user wrote it, and only they can.
    """
    global _directory, _why_off  # noqa: PLW0603 (one process, one configuration)
    _directory = directory
    if not uses_key:
        return ()
    try:
        with open(f"{directory}/{ENVIRONMENT}", encoding="utf-8") as file:  # noqa: PTH123 (no pathlib: see above)
            lines = file.read().splitlines()
        # The directory may be a link to another partition: the person who named it is trusted.
        files = [os.lstat(f"{directory}/{name}") for name in (ENVIRONMENT, CONFIGURATION)]
        if not all(map(is_believed, [os.stat(directory), *files])):  # noqa: PTH116 (no pathlib: see above)
            return ()
    except (OSError, ValueError):
        return ()
    found = {name: value for name, _, value in (line.partition("=") for line in lines) if name in VARIABLES}
    if os.geteuid() == 0 and is_of_system(directory):
        _why_off = why_unsafe(directory, found.get(MODULE, ""), found.get(PIN_FILE, ""))
        if _why_off:
            return ()
    for name, value in found.items():
        os.environ.setdefault(name, value)
    if credential := _pin_credential():
        os.environ[PIN_FILE] = credential if os.geteuid() else _handed_over(credential)
    module = module_in_use()
    # A PKCS#11 library can keep its tokens in the TPM.
    uses_tpm = "TPM2OPENSSL_TCTI" in os.environ or "tpm2" in module
    return tuple(name for name, used in ((GROUP, uses_tpm), (SOFTHSM, is_softhsm(module))) if used)


def is_of_system(directory: str) -> bool:
    """Return whether the services of the system read the configuration in ``directory``."""
    return aliases.is_same(directory, beside.DIRECTORY)


def why_off() -> str:
    """Return why ``enable`` did not set OpenSSL up for a token, as a command of root; empty if it found no fault."""
    return _why_off


def why_unsafe(directory: str, module: str, pin_file: str) -> str:
    """Return why root does not use this configuration, PKCS#11 library and PIN; empty if only root can write them.

    OpenSSL loads the library, and reads the PIN, into the process of a command that root typed.
    """
    from shlex import quote

    if part := written_by_others(f"{directory}/{CONFIGURATION}"):
        return (
            f"{directory}/{CONFIGURATION} is not used, because others than root can write {part}: "
            f"`sudo chown root:root {quote(part)} && sudo chmod go-w {quote(part)}`"
        )
    if part := written_by_others(module) if module else "":
        kept = f"/usr/lib/pkcs11/{module.rpartition('/')[2]}"
        return (
            f"{module} is not loaded as the PKCS#11 library (device.cryptoki.module_path), because others than root "
            f"can write {part}: expected that of a package; if you trust what is there now, "
            f"`sudo install -D -m 644 {quote(module)} {quote(kept)} && "
            f"sudo tedge config set device.cryptoki.module_path {quote(kept)}`"
        )
    if part := written_by_others(pin_file) if pin_file else "":
        file = quote(pin_file)
        return (
            f"{pin_file} is not used as the PIN, because others than root can write {part}: "
            f"`sudo chown root:mosquitto {file} && sudo chmod 640 {file}`, in directories of root"
        )
    return ""


def written_by_others(path: str) -> str:
    """Return the directory, link or file, on the way to ``path``, that others than root can write; empty if none.

    Links that only root can change are followed. What is missing only root can make.
    """
    at, links = "/", 0
    left = path.split("/")[::-1]
    while True:
        try:
            facts = os.lstat(at)
            is_link = stat.S_ISLNK(facts.st_mode)
            # The mode of a link is 0777. Links below /proc lead where their text does not.
            if facts.st_uid != 0 or (facts.st_mode & 0o022 and not is_link) or at.startswith("/proc/"):
                return at
            if is_link:
                links += 1
                if links > _MOST_LINKS:
                    return at
                target = os.readlink(at)  # noqa: PTH115 (no pathlib: see above)
                left += target.split("/")[::-1]
                at = "/" if target.startswith("/") else os.path.dirname(at)  # noqa: PTH120 (no pathlib: see above)
                continue
        except FileNotFoundError:
            return ""
        except OSError:
            return at
        if not left:
            return ""
        part = left.pop()
        if part == "..":
            at = os.path.dirname(at)  # noqa: PTH120 (no pathlib: see above)
        elif part not in ("", "."):
            at = f"{at.rstrip('/')}/{part}"


def module_in_use() -> str:
    """Return the PKCS#11 library that this process uses; empty if it uses none."""
    return os.environ.get(MODULE, "")


def pin_file() -> str:
    """Return the path of the PIN as another process of this unit can open it; empty without one."""
    return _pin_credential() or os.environ.get(PIN_FILE, "")


def _pin_credential() -> str:
    path = f"{os.environ.get('CREDENTIALS_DIRECTORY', '')}/{PIN_CREDENTIAL}"
    return path if os.access(path, os.R_OK) else ""


def _handed_over(path: str) -> str:
    """Return a file without a name that has the PIN at ``path``: only root can read that, and root becomes tedge."""
    descriptor = os.memfd_create(PIN_CREDENTIAL, 0)
    with open(path, "rb") as file:  # noqa: PTH123 (no pathlib: see above)
        os.write(descriptor, file.read(4096))
    return f"{DESCRIPTORS}{descriptor}"


def is_believed(facts: os.stat_result) -> bool:
    """Return whether only root, or this user, can have written the file."""
    # The mode of a link is 0777.
    return facts.st_uid in (0, os.geteuid()) and not facts.st_mode & 0o022


def variables() -> dict[str, str]:
    """Return what a child of this process needs to use the providers."""
    return {name: os.environ[name] for name in PASSED if name in os.environ}


def state_directory(directory: str = "") -> str:
    """Return where the results of PINs are remembered; a configuration outside /etc/tedge has its own."""
    directory = directory or _directory or beside.DIRECTORY
    return "/var/lib/tedge-cert-renewer" if is_of_system(directory) else f"{directory}/state"


def is_softhsm(module: str) -> bool:
    """Return whether this PKCS#11 library is SoftHSM, which has peculiarities of its own."""
    return SOFTHSM in module.rpartition("/")[2]


def configuration_text(is_first_version: bool, tpm: bool, module: str) -> str:
    """Return OpenSSL's configuration for keys in the TPM, in the tokens of the PKCS#11 library ``module``, or in both.

    ``is_first_version`` says that OpenSSL is a 3.0.
    """
    return (
        "# Written by tedge: lets OpenSSL use the private key in the TPM or in a token.\n"
        f"openssl_conf = tedge_openssl\n\n"
        f"{SECTION}\nproviders = tedge_providers\n"
        f"{PREFERENCE if is_first_version and tpm else ''}\n"
        "[tedge_providers]\ndefault = tedge_on\n"
        f"{TPM_LINE if tpm else ''}{'pkcs11 = tedge_pkcs11' if module else ''}\n\n"
        f"[tedge_on]\nactivate = 1\n{_of_tokens(module) if module else ''}"
    )


TPM_LINE, SECTION = "tpm2 = tedge_on\n", "[tedge_openssl]"


def _of_tokens(module: str) -> str:
    # Handles that are kept are invalid after a reconnect of the bridge, with SoftHSM. SoftHSM crashes every process at
    # its end that deinitializes it.
    quirk = "pkcs11-module-quirks = no-deinit\n" if is_softhsm(module) else ""
    return (
        f"\n[tedge_pkcs11]\npkcs11-module-path = {module}\npkcs11-module-token-pin = file:$ENV::{PIN_FILE}\n"
        f"pkcs11-module-cache-keys = false\n{quirk}activate = 1\n"
    )


def environment_text(directory: str, reached_by: str, module: str, pin_file: str) -> str:
    """Return the variables in the form of systemd.exec(5), EnvironmentFile=.

    ``reached_by`` is the TCTI of the TPM, ``module`` the PKCS#11 library; one that is not used is empty.
    """
    # tpm2-openssl 1.1.1 and 1.3.0 ignore a TCTI in OpenSSL's configuration.
    of_tpm = f"TPM2OPENSSL_TCTI={reached_by}\nTSS2_LOG=all+none\n" if reached_by else ""
    of_token = f"{MODULE}={module}\n{PIN_FILE}={pin_file}\n" if module else ""
    return f"OPENSSL_CONF={directory}/{CONFIGURATION}\n{of_tpm}{of_token}"
