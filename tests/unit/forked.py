# SPDX-License-Identifier: Apache-2.0
"""Run the executables of the checkout without the import of the libraries, which is most of their time."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from forks.client import Server
from unit.libraries import PRODUCT

_LIB = PRODUCT.parent
# Of Python and of Debian, what the executables import. The first ones leave OpenSSL alone.
_WITHOUT_OPENSSL = (
    "argparse", "base64", "concurrent.futures", "dataclasses", "email.message", "fcntl", "glob", "grp", "inspect",
    "ipaddress", "logging", "pathlib", "pwd", "random", "re", "selectors", "shlex", "shutil", "socket", "string",
    "struct", "subprocess", "tempfile", "textwrap", "tomlkit", "tomllib", "traceback", "urllib.parse", "uuid", "zlib",
)  # fmt: skip
_LIBRARIES = (
    *_WITHOUT_OPENSSL, "hashlib", "http.client", "secrets", "ssl", "asn1crypto.algos", "asn1crypto.cms",
    "asn1crypto.csr", "asn1crypto.x509", "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.asymmetric.rsa", "cryptography.hazmat.primitives.serialization",
    "cryptography.x509", "paho.mqtt.client", "requests",
)  # fmt: skip
# It acts when it is imported, as each program must for itself: the server leaves out this module and what imports it.
_ACTS = "tedge_cert.cli.entry"
_ROOMS_WITHOUT_OPENSSL = ("config", "disk", "hourly")
# The interpreter and the C library read these once, when they start, and the product reads the last when it is
# imported; OpenSSL reads its own ones before its first use.
_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC", "SSLKEYLOGFILE")
_OF_OPENSSL = ("OPENSSL", "SSL_", "CRYPTO", "SOFTHSM", "PKCS11", "TPM", "TSS")
_PER_FORK = ("PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
_PER_RUN = ("PYTHONWARNINGS",)
_MOST_INPUT = 1 << 15
"""Bytes that fit into a pipe before a process reads from it."""


def _product(*rooms: str) -> tuple[str, ...]:
    """Return the product's modules: those of some rooms, or all."""
    files = [each for room in rooms or ("",) for each in sorted((PRODUCT / room).rglob("*.py"))]
    names = [".".join(each.relative_to(_LIB).with_suffix("").parts) for each in files]
    return tuple(name.removesuffix(".__init__") for name in names)


@cache
def _server(uses_openssl: bool, has_product: bool) -> Server:
    """Start a server of this worker."""
    modules: tuple[str, ...] = _LIBRARIES if uses_openssl else _WITHOUT_OPENSSL
    # The server needs what every program gets from the tests.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    kept |= {name: os.environ[name] for name in (*_PER_RUN, *_PER_FORK[1:]) if name in os.environ}
    if has_product:
        modules += _product(*(() if uses_openssl else _ROOMS_WITHOUT_OPENSSL))
        kept["PYTHONPATH"] = str(_LIB)
    return Server.start(sys.executable, modules, kept, without=_ACTS)


def _named(environment: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(names) and name not in _PER_FORK}


def _server_for(environment: Mapping[str, str]) -> Server:
    """Return the server for a program.

    Where OpenSSL is to find something of its own, it has not used OpenSSL yet. Where the program imports another
    library than that of the checkout, it has imported none.
    """
    has_product = environment["PYTHONPATH"].split(":")[0] == str(_LIB)
    server = _server(True, has_product)
    own = os.path.lexists(Path(environment.get("TEDGE_CONFIG_DIR", "/"), "openssl.env"))
    same = _named(environment, _OF_OPENSSL) == _named(server.environment, _OF_OPENSSL)
    return server if same and not own else _server(False, has_product)


def can_fork(command: Sequence[str], environment: Mapping[str, str], text: str) -> bool:
    """Return whether a fork is to the program what a new process is: nothing of it reads what is read at the start."""
    server = _server_for(environment)
    return (
        command[0] == sys.executable
        and not command[1].startswith("-")
        and not any("\0" in word or word.startswith("--config-dir") for word in command)
        and _named(environment, _AT_START) == _named(server.environment, _AT_START)
        and not any(Path(each, "sitecustomize.py").exists() for each in environment["PYTHONPATH"].split(":"))
        and len(text.encode()) <= _MOST_INPUT
        and server.user == os.geteuid()
    )


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    text: str = "",
    timeout_s: float = 60,
    umask: int = -1,
) -> "subprocess.CompletedProcess[str]":
    """Run a command with `text` as its input, as `subprocess.run` does; in a fork if that is the same to it."""
    if not can_fork(command, environment, text):
        return subprocess.run(
            command,
            env=environment,
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
            umask=umask,
        )
    given, output, errors = os.pipe(), os.pipe(), os.pipe()
    os.write(given[1], text.encode())
    os.close(given[1])
    files = given[0], output[1], errors[1]
    pipes = output[0], errors[0]
    deadline_s = time.monotonic() + timeout_s
    try:
        fork = _server_for(environment).fork(command[1:], environment, files, umask)
        for each in files:
            os.close(each)
        try:
            read = _read(pipes, deadline_s)
            code = fork.wait(max(0.1, deadline_s - time.monotonic()))
        except BaseException as error:  # also an interrupt
            fork.kill()
            if isinstance(error, TimeoutError):
                raise subprocess.TimeoutExpired(command, timeout_s) from error
            raise
    finally:
        for each in pipes:
            os.close(each)
    said = [each.decode().replace("\r\n", "\n").replace("\r", "\n") for each in read]
    return subprocess.CompletedProcess(command, code, *said)


def _read(pipes: tuple[int, int], deadline_s: float) -> list[bytes]:
    """Return what is written to the pipes, once all who may write have ended; raises TimeoutError."""
    found = dict.fromkeys(pipes, b"")
    with selectors.DefaultSelector() as selector:
        for each in pipes:
            selector.register(each, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline_s - time.monotonic()))
            if not ready and time.monotonic() >= deadline_s:
                raise TimeoutError
            for key, _ in ready:
                read = os.read(key.fd, 1 << 16)
                found[key.fd] += read
                if not read:
                    selector.unregister(key.fd)
    return [found[each] for each in pipes]
