# SPDX-License-Identifier: Apache-2.0
"""Write what OpenSSL, mosquitto and the renewal need to use a key in the TPM; root does that."""

from pathlib import Path

from tedge_cert import processes, systemd
from tedge_cert.commands import drop_in
from tedge_cert.device.instance import Instance
from tedge_cert.disk import files, owners
from tedge_cert.x509 import provider

_DEVICE = "device:"
_NAME = "52-tpm.conf"


def update(instance: Instance) -> bool:
    """Write the files that differ from what is needed; return whether there were any. Raises TedgeCertError."""
    wanted = _configuration(instance)
    if instance.manages_services:
        wanted |= _drop_ins(instance)
    changed = {path: text for path, text in wanted.items() if not path.exists() or path.read_text() != text}
    for path, text in changed.items():
        files.make_directory(path.parent, owners.DIRECTORY_OF_ROOT)
        files.write(path, text.encode(), owners.BROKER_CONFIGURATION)
    if changed and instance.manages_services:
        systemd.systemctl("daemon-reload")
    return bool(changed)


def _configuration(instance: Instance) -> dict[Path, str]:
    directory = Path(instance.config.directory).absolute()
    is_first_version = processes.run(["openssl", "version"]).stdout.startswith("OpenSSL 3.0.")
    return {
        directory / provider.CONFIGURATION: provider.configuration_text(is_first_version),
        directory / provider.ENVIRONMENT: provider.environment_text(
            str(directory), instance.config.need("device.tpm.tcti")
        ),
    }


def _drop_ins(instance: Instance) -> dict[Path, str]:
    reached_by = instance.config.need("device.tpm.tcti")
    node = reached_by.removeprefix(_DEVICE) if reached_by.startswith(f"{_DEVICE}/dev/") else ""
    head = "# Written by `sudo tedge hsm create-key --tpm`: the private key is in the TPM.\n"
    # mosquitto opens the TPM as root, when it starts, and never again: it has to wait for the device.
    unit = f"dev-{node.removeprefix('/dev/')}.device" if node.count("/") == 2 and "-" not in node else ""
    first = f"[Unit]\nWants={unit}\nAfter={unit}\n" if unit else ""
    found = {
        drop_in.UNITS / "mosquitto.service.d" / _NAME: f"{head}{first}[Service]\n"
        f"EnvironmentFile=-{Path(instance.config.directory).absolute() / provider.ENVIRONMENT}\n"
    }
    if node:
        # The dash: a unit that fails before its program starts passes for one with nothing to do.
        opened = f"{head}[Service]\nBindPaths=-{node}\nDeviceAllow={node} rw\n"
        units = [each for each in (instance.service, instance.registration) if each]
        found |= {drop_in.UNITS / f"{each}.d" / _NAME: opened for each in units}
    return found
