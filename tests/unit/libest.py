# SPDX-License-Identifier: Apache-2.0
"""The EST server of Debian's libest-utils with an authority of its own, as a child process."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tenant.ports import free_port
from unit.certificates import Made, make, name_of, new_key
from unit.local_device import ROOT, await_port

USER, PASSWORD = "estuser", "estpwd"
_CONFIGURATION = """
[ca]
default_ca = devices
[devices]
dir = {directory}
database = $dir/index.txt
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
serial = $dir/serial
default_days = 365
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
organizationName = optional
organizationalUnitName = optional
"""


def command() -> str | None:
    """The program, fetched from Debian once; None where that is not possible."""
    done = subprocess.run([ROOT / "tests/prepare-estserver"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


class LibEst:
    """The server, started with `options`: -n takes certificates alone, -h Digest, -t wants proof of possession."""

    def __init__(self, program: str, directory: Path, *options: str, host: str = "localhost") -> None:
        directory.mkdir()
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self.authority = make("libest CA", end=datetime.now(UTC) + timedelta(days=3650), extension=constraints)
        web = trustme.CA()
        self.trust = directory / "web.pem"
        web.cert_pem.write_to_path(str(self.trust))
        server = web.issue_cert(host)
        server.cert_chain_pems[0].write_to_path(str(directory / "server.pem"))
        server.private_key_pem.write_to_path(str(directory / "server.key"))
        for name, content in {
            "ca.pem": self.authority.pem,
            "ca.key": self.authority.key_pem,
            "index.txt": b"",
            "serial": b"01\n",
            "ca.cnf": _CONFIGURATION.format(directory=directory).encode(),
        }.items():
            (directory / name).write_bytes(content)
        self.port = free_port()
        words = ["-c", "server.pem", "-k", "server.key", "-r", "estrealm", "-p", str(self.port), "-d", "600", *options]
        environment = {
            **os.environ,
            "EST_TRUSTED_CERTS": "ca.pem",
            "EST_CACERTS_RESP": "ca.pem",
            "EST_OPENSSL_CACONFIG": "ca.cnf",
            "OPENSSL_CONF": "/dev/null",
        }
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, *words], cwd=directory, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        await_port(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    @property
    def settings(self) -> str:
        """The table of `tedge.toml` that names this authority."""
        return f'[est]\nurl = "localhost:{self.port}"\nroot_cert_path = "{self.trust}"\nusername = "{USER}"\n'

    def issue(self, name: str, days: float = 10) -> Made:
        """Make a certificate of the authority without the server: a factory certificate, or one about to expire."""
        key = new_key()
        now = datetime.now(UTC).replace(tzinfo=None)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name_of(name))
            .issuer_name(self.authority.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=days))
            .sign(self.authority.key, hashes.SHA256())
        )
        return Made(certificate, key)
