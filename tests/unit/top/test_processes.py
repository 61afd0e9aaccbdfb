# SPDX-License-Identifier: Apache-2.0
"""A program that a command runs gets nothing of the command's but its arguments."""

import os
import pty

from tedge_cert import processes


def test_no_program_gets_the_terminal_of_the_command() -> None:
    """It runs as user tedge, who may trace it, and could type on root's terminal (TIOCSTI)."""
    child, terminal = pty.fork()
    if child == 0:
        code = 2
        try:
            os.close(os.open("/dev/tty", os.O_RDWR))
            code = processes.run(["sh", "-c", ": < /dev/tty"]).returncode == 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
