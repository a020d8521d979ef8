"""Processes that do not outlive the one that started them."""

import ctypes
import os
import signal
import sys
import threading
import time

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


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
