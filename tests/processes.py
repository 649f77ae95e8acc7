"""Child processes in tests: whether they have ended, and what a test needs to start them."""

import shutil
import sys

import psutil
import pytest

from bot.media.ffmpeg import find_ffmpeg

needs_ffmpeg = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg on this machine")
needs_setpriv = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("setpriv") is None, reason="only Linux signals a parent's end"
)


def is_gone(pid: int) -> bool:
    """True also for a zombie: it runs no longer, but its exit code was not collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
