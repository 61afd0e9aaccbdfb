# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's provider for a key in a TPM: root writes its configuration, and every program takes it when it starts.

OpenSSL reads its configuration once, when the first library uses it. So this is done before such a library is imported,
and nothing slow is imported here.
"""

import os

CONFIGURATION, ENVIRONMENT = "openssl.cnf", "openssl.env"
# The group that Debian lets use the TPM, and the daemon for it.
GROUP = "tss"
# The only names that are taken from the file.
VARIABLES = ("OPENSSL_CONF", "TPM2OPENSSL_TCTI", "TSS2_LOG")
# OpenSSL 3.0 gives the key to its own provider, unless it is told to prefer the TPM's; the TPM would then hash and
# encipher too, which takes minutes. Later versions find the provider of the key by themselves.
_PREFERENCE = """\
alg_section = tedge_algorithms
random = tedge_random

[tedge_algorithms]
default_properties = ?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes

[tedge_random]
random = HASH-DRBG
digest = SHA256
"""


def enable(directory: str) -> tuple[str, ...]:
    """Have this process and its children use the provider, if it is configured in ``directory``.

    Return the groups that may use the hardware. The configuration names libraries that OpenSSL loads into this process,
    which may be root's; so it is believed only if root or this user wrote it, and only they can.
    """
    try:
        with open(f"{directory}/{ENVIRONMENT}", encoding="utf-8") as file:  # noqa: PTH123 (no pathlib: see above)
            lines = file.read().splitlines()
        # The directory may be a link to another partition; whoever named it is believed.
        files = [os.lstat(f"{directory}/{name}") for name in (ENVIRONMENT, CONFIGURATION)]
        if not all(map(_is_believed, [os.stat(directory), *files])):  # noqa: PTH116 (no pathlib: see above)
            return ()
    except (OSError, ValueError):
        return ()
    for line in lines:
        name, _, value = line.partition("=")
        if name in VARIABLES:
            os.environ.setdefault(name, value)
    return (GROUP,)


def _is_believed(facts: os.stat_result) -> bool:
    # The mode of a link is 0777.
    return facts.st_uid in (0, os.geteuid()) and not facts.st_mode & 0o022


def configuration_text(is_first_version: bool) -> str:
    """Return OpenSSL's configuration; ``is_first_version`` says that OpenSSL is a 3.0."""
    return (
        "# Written by `sudo tedge hsm create-key --tpm`: lets OpenSSL use the private key in the TPM.\n"
        "openssl_conf = tedge_openssl\n\n"
        "[tedge_openssl]\nproviders = tedge_providers\n"
        f"{_PREFERENCE if is_first_version else ''}\n"
        "[tedge_providers]\ndefault = tedge_on\ntpm2 = tedge_on\n\n"
        "[tedge_on]\nactivate = 1\n"
    )


def environment_text(directory: str, reached_by: str) -> str:
    """Return the variables in the form of systemd.exec(5), EnvironmentFile=; ``reached_by`` is the TCTI of the TPM."""
    # tpm2-openssl 1.1.1 and 1.3.0 ignore a TCTI in OpenSSL's configuration.
    return f"OPENSSL_CONF={directory}/{CONFIGURATION}\nTPM2OPENSSL_TCTI={reached_by}\nTSS2_LOG=all+none\n"
