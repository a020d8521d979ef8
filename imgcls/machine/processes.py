"""Processes that do not outlive the one that started them, and whether one is halted."""

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 1.0

_prctl = getattr(
    ctypes.CDLL(None), "prctl", None
)  # Linux has it; looked up here, since a forked process better does not


def end_with_parent(parent: int, thread_lasts: bool = True) -> None:
    """Let this process be killed when its parent is gone, however that ended; exit if it is gone already.

    Args:
        parent: the process id of the one that started this process.
        thread_lasts: whether the thread of it that did so lives as long as all of it: the kernel
            goes by threads. Otherwise, and without such a kernel, a thread here looks every second.
    """
    if _prctl and thread_lasts:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        sys.exit(1)


def how_it_ended(code: int) -> str:
    """What a process did, for a message, by its exit status; below zero a signal's number."""
    return f"was killed (signal {signal.Signals(-code).name})" if code < 0 else f"ended with status {code}"


def end_before_destructors() -> None:
    """Let this process end when Python has, without the destructors of Paddle's objects; to be called last.

    Threads of Paddle's are still at work then, and at times one meets what is taken apart: a rank that had done all
    its work would end with SIGABRT or SIGSEGV, and its run would count as failed. Without glibc nothing is done.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc._exit, None)  # is given the status; what was registered last runs first
        atexit.register(libc.fflush, None)


def is_halted(pid: int) -> bool:
    """Whether a process has been stopped by a signal and not let go on; ``False`` where no ``/proc`` tells."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
