"""A system that refuses calls, for tests: in a child process, as the filter cannot be taken back."""

import ctypes
import multiprocessing
import os
import platform
import struct
import sys
from collections.abc import Callable

import pytest

# Children with a private state of the kernel: rights and system calls cannot be had back.
FORK = multiprocessing.get_context("fork")
ON_LINUX = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="needs Linux's numbers of system calls"
)
FLOCK, FCNTL = 73, 72
LOCKS = (6, 7, 37, 38)  # F_SETLK, F_SETLKW and those of open file descriptions


def in_child(work: Callable[[], object]) -> str:
    """What `work` returns or raises, as text, in a process of its own."""
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
    """From now on this process gets `failure` for a system call: a seccomp filter (see seccomp(2))."""
    load, equal, give = 0x20, 0x15, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | failure
    count = len(second_arguments)
    checks = [(equal, count - n, 0, value) for n, value in enumerate(second_arguments)]
    # Each line: what to do, how many lines to skip if equal, and if not, with which number.
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
