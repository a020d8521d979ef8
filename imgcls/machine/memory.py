"""How much memory there is, and how much a piece of work takes."""

import contextlib
import ctypes
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RESET_PEAK = "5"
"""What ``/proc/self/clear_refs`` takes for: the peak is what is resident now, see proc(5)."""

GROUP = Path("/sys/fs/cgroup")
"""Of this process, as a container sees it; see cgroups(7), version 2."""


def available() -> int | None:
    """Bytes that programs can still have, the container's limit respected; ``None`` where nobody tells."""
    free = []
    with contextlib.suppress(OSError, TypeError):
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        free.append(1024 * int(re.search(r"MemAvailable:\s+(\d+) kB", text)[1]))
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        limit = int((GROUP / "memory.max").read_text(encoding="ascii"))
        taken = int((GROUP / "memory.current").read_text(encoding="ascii"))
        free.append(max(0, limit - taken + _given_back()))
    return min(free, default=None)


def _given_back() -> int:
    """Bytes of files that the container has read and the kernel lets go where programs want memory."""
    with contextlib.suppress(OSError, TypeError):
        text = (GROUP / "memory.stat").read_text(encoding="ascii")
        return int(re.search(r"^inactive_file (\d+)$", text, re.MULTILINE)[1])
    return 0


def growth(work: Callable[[], Any]) -> tuple[Any, int | None]:
    """What ``work`` returns, and by how many bytes this process was larger at most meanwhile; ``None`` if unknown.

    Memory that was freed before, and that the C library keeps for such work, counts as what the work takes.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
        before = _peak()
    except (OSError, TypeError):
        return work(), None
    return work(), _peak() - before


def _peak() -> int:
    text = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", text)[1])


@contextlib.contextmanager
def no_more_than(extra: int) -> Iterator[None]:
    """Inside, this process gets at most so many bytes of memory beyond what it has; who asks for more is refused.

    For libraries that believe what a file says of its sizes. Where the system has no such limit nothing is done.
    """
    try:
        soft, hard = before = resource.getrlimit(resource.RLIMIT_DATA)
        limit = _data() + extra
        limit = min([limit, *(one for one in before if one != resource.RLIM_INFINITY)])
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    except (OSError, TypeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data() -> int:
    """Bytes of this process that its limit counts."""
    text = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    return 1024 * int(re.search(r"VmData:\s+(\d+) kB", text)[1])
