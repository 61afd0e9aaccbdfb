# SPDX-License-Identifier: Apache-2.0
"""A device that has neither key nor certificate, and no tenant."""

from pathlib import Path

from tedge_cert.device.instance import Instance, load_instance
from unit.children import run
from unit.local_device import Result


def lay_out(directory: Path) -> Path:
    """Configure a device whose files are `certs/cert.pem`, `certs/key.pem` and `certs/device.csr`."""
    (directory / "certs").mkdir()
    (directory / "run").mkdir()
    certificate, key, csr = (f'"{directory}/certs/{name}"' for name in ("cert.pem", "key.pem", "device.csr"))
    (directory / "tedge.toml").write_text(
        f"[device]\ncert_path = {certificate}\nkey_path = {key}\ncsr_path = {csr}\n"
        f'[run]\npath = "{directory}/run"\n[certificate]\norganization = "ACME"\n'
    )
    return directory


def tedge(directory: Path, words: str, **variables: str) -> Result:
    """Run `tedge cert …`."""
    first, *rest = words.split()
    return run([f"tedge-cert-{first}", *rest], directory, variables=variables)


def present(directory: Path) -> set[str]:
    """The files that it has by now."""
    return {each.name for each in (directory / "certs").iterdir()}


def instance_of(directory: Path) -> Instance:
    """What the commands work on."""
    return load_instance("", "", str(directory))
