# SPDX-License-Identifier: Apache-2.0
"""A fork that a test runs instead of a new process is the same to the program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unit import forked
from unit.children import BIN, environment_for
from unit.local_device import ROOT

FACTS = """
import json, os, signal, sys, time
facts = {
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "flags": list(sys.flags), "name": __name__,
    "file": __file__, "main": sys.modules["__main__"].__dict__ is globals(), "environment": dict(os.environ),
    "directory": os.getcwd(), "umask": os.umask(0), "zone": time.strftime("%z", time.localtime(0)),
    "cache": [sys.pycache_prefix, sys.dont_write_bytecode], "input": sys.stdin.read(),
    "streams": [[each.encoding, each.errors, each.line_buffering, each.isatty()] for each in (sys.stdout, sys.stderr)],
    "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD)],
    "descriptors": [each for each in range(3, 100) if os.path.exists(f"/proc/self/fd/{each}/")],
    "session": os.getsid(0),
}
print(json.dumps(facts))
"""
ENDS = (
    "import sys; print('said', end=''); sys.exit()",
    "import sys; sys.exit(3)",
    "import sys; sys.exit(-1)",
    "import sys; sys.exit('a word')",
    "raise ValueError('a fault')",
    "import os; os.kill(os.getpid(), 9)",
    "import atexit; atexit.register(print, 'at the end')",
    "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('a thread'))).start()",
    "import os; os.system('echo a child')",
)


def both(
    program: str, tmp_path: Path, *words: str, **variables: str
) -> tuple["subprocess.CompletedProcess[str]", "subprocess.CompletedProcess[str]"]:
    """Run a program in a fork and in a new process."""
    script = tmp_path / "program"
    script.write_text(program)
    command = [sys.executable, str(script), *words]
    environment = environment_for(tmp_path, **variables)
    assert forked.can_fork(command, environment, "typed")
    started = subprocess.run(
        command, env=environment, input="typed", capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    return forked.run(command, environment, text="typed"), started


def test_the_program_finds_what_a_new_process_finds(tmp_path: Path) -> None:
    """Arguments, environment, directory, streams, signals and descriptors."""
    fork, started = both(FACTS, tmp_path, "a", "b c", "\udcff", TZ="Asia/Tokyo", PYTHONPYCACHEPREFIX=str(tmp_path))
    assert json.loads(fork.stdout) == json.loads(started.stdout)
    assert fork.stderr == started.stderr


PRODUCT = "import sys; print([each for each in sys.modules if each.startswith('tedge_cert')])"


@pytest.mark.parametrize("is_own", [False, True], ids=["that of the checkout", "another library"])
def test_of_the_product_only_definitions_are_there(tmp_path: Path, is_own: bool) -> None:
    """And nothing at all where the program is to import another library."""
    path = [str(ROOT / "lib"), str(tmp_path)]
    fork, _ = both(PRODUCT, tmp_path, PYTHONPATH=":".join(reversed(path) if is_own else path))
    assert ("'tedge_cert.device.instance'" in fork.stdout) is not is_own
    assert "tedge_cert.cli.entry" not in fork.stdout


@pytest.mark.parametrize(
    "words", ["tedge-config list", "tedge-cert-show c8y", "tedge-connect c8y", "tedge-cert-create --help"]
)
def test_an_executable_says_the_same(words: str, tmp_path: Path) -> None:
    """In a fork, in one of a process without OpenSSL, and in a new process."""
    name, *rest = words.split()
    command, environment = [sys.executable, str(BIN / name), *rest], environment_for(tmp_path)
    first = forked.run(command, environment)
    (tmp_path / "openssl.env").touch()
    second = forked.run(command, environment)
    started = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False)
    facts = [(each.returncode, each.stdout, each.stderr) for each in (first, second, started)]
    assert facts == [facts[-1]] * 3


@pytest.mark.parametrize("program", ENDS)
def test_it_ends_alike(program: str, tmp_path: Path) -> None:
    """With the same exit code and the same words."""
    fork, started = both(program, tmp_path)
    assert (fork.returncode, fork.stdout) == (started.returncode, started.stdout)
    assert fork.stderr.splitlines()[-1:] == started.stderr.splitlines()[-1:]


def test_what_is_read_at_the_start_needs_a_new_process(tmp_path: Path) -> None:
    """Of the interpreter, of OpenSSL and of the C library."""
    command, environment = [sys.executable, str(tmp_path / "program")], environment_for(tmp_path)
    assert forked.can_fork(command, environment, "")
    for name in ("PYTHONWARNINGS", "PYTHONUTF8", "LC_ALL", "LD_PRELOAD", "SSLKEYLOGFILE"):
        assert not forked.can_fork(command, {**environment, name: "C"}, ""), name
    assert not forked.can_fork([sys.executable, "-S", "program"], environment, "")
    assert not forked.can_fork([*command, "--config-dir=/elsewhere"], environment, "")
    assert not forked.can_fork(["/bin/sh", "program"], environment, "")
    (tmp_path / "sitecustomize.py").touch()
    assert not forked.can_fork(command, {**environment, "PYTHONPATH": f"/usr/lib:{tmp_path}"}, "")


CONFIGURATION = """\
openssl_conf = main
[main]
ssl_conf = ssl
[ssl]
system_default = system
[system]
CipherString = AES128-SHA
"""
CIPHERS = "import ssl; print([each['name'] for each in ssl.create_default_context().get_ciphers()])"
LOADED = "import os, sys; print([each for each in ('_ssl', '_hashlib') if each in sys.modules])"


@pytest.mark.parametrize("by", ["variable", "file"])
def test_openssl_reads_its_own_configuration(tmp_path: Path, by: str) -> None:
    """Where a program has one, by its variables or by a file that the product reads, OpenSSL was not used before."""
    (tmp_path / "openssl.cnf").write_text(CONFIGURATION)
    variables, program = {"OPENSSL_CONF": str(tmp_path / "openssl.cnf")}, f"{LOADED}; {CIPHERS}"
    if by == "file":
        (tmp_path / "openssl.env").touch()
        variables, program = {}, f"{LOADED}; os.environ.update({variables}); {CIPHERS}"
    fork, started = both(program, tmp_path, **variables)
    assert fork.stdout == started.stdout
    assert fork.stdout.startswith("[]\n")
    assert "AES128-SHA" in fork.stdout


@pytest.mark.parametrize(
    "program", ["import time; time.sleep(600)", "import os, time; os.close(1); os.close(2); time.sleep(600)"]
)
def test_one_that_does_not_end_is_killed(program: str, tmp_path: Path) -> None:
    """And the next one runs."""
    script, environment = tmp_path / "program", environment_for(tmp_path)
    script.write_text(program)
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run([sys.executable, str(script)], environment, timeout_s=1)
    script.write_text("print('up')")
    assert forked.run([sys.executable, str(script)], environment).stdout == "up\n"
