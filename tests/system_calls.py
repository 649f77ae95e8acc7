"""Makes the system refuse some system calls; in a child process, because the filter cannot be removed."""

import ctypes
import multiprocessing
import os
import platform
import struct
import sys
from collections.abc import Callable

import pytest

# A process cannot get dropped rights or filtered system calls back, so each test uses a child.
FORK = multiprocessing.get_context("fork")
ON_LINUX = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="needs Linux's numbers of system calls"
)
FLOCK, FCNTL = 73, 72
LOCKS = (6, 7, 37, 38)  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW


def in_child(work: Callable[[], object]) -> str:
    """Run `work` in a child process, and return its result or exception as text."""
    said = FORK.SimpleQueue()

    def run() -> None:
        try:
            said.put(str(work()))
        except BaseException as error:
            said.put(f"{type(error).__name__}: {error}")

    child = FORK.Process(target=run)
    child.start()
    answer = str(said.get())
    child.join()
    return answer


def refuse_calls(number: int, failure: int, second_arguments: tuple[int, ...] = ()) -> None:
    """Make a system call fail with `failure` in this process from now on (seccomp(2))."""
    load, equal, give = 0x20, 0x15, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | failure
    count = len(second_arguments)
    checks = [(equal, count - n, 0, value) for n, value in enumerate(second_arguments)]
    # Each line: operation, lines to skip if equal, lines to skip if not, operand.
    program = [
        (load, 0, 0, 0),
        (equal, 0, count + 1, number) if checks else (equal, 1, 0, number),
        *([(load, 0, 0, 24), *checks] if checks else []),
        (give, 0, 0, allow),
        (give, 0, 0, refuse),
    ]
    packed = b"".join(struct.pack("HBBI", *each) for each in program)
    buffer = ctypes.create_string_buffer(packed)
    filtered = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, filtered, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PR_SET_SECCOMP
