"""Arrays in memory that a process and its workers share, so that images need not be copied from one to the other.

It is nobody's file: nothing is left over, and a container's small ``/dev/shm`` has no part in it.
"""

import math
import mmap
import os
from collections.abc import Callable
from multiprocessing import reduction

import numpy as np


def shared_array(shape: tuple[int, ...], dtype: type = np.uint8, file: int = -1) -> np.ndarray:
    """Zeros that the processes share which are forked from now on; takes memory where it is written to.

    Args:
        file: descriptor of the memory to use, instead of new.

    Raises:
        OSError, OverflowError: the machine has no such memory.
    """
    memory = mmap.mmap(file, math.prod(shape) * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype).reshape(shape)


class SentArray:
    """An ``array`` of zeros for processes that are spawned: it can be among their arguments."""

    def __init__(self, shape: tuple[int, ...], dtype: type = np.uint8):
        self._file = os.memfd_create("images")
        os.ftruncate(self._file, math.prod(shape) * np.dtype(dtype).itemsize)
        self.array = shared_array(shape, dtype, self._file)

    def lend(self) -> str:
        """A name by which other processes of this user and machine find the memory, as long as this object lives."""
        return f"{os.getpid()} {self._file} {_identity(self._file)}"

    def __reduce__(self) -> tuple:
        return _received, (reduction.DupFd(self._file), self.array.shape, self.array.dtype)

    def __del__(self, close: Callable[[int], None] = os.close):  # modules may be gone by then
        close(self._file)


def _received(file: object, shape: tuple[int, ...], dtype: np.dtype) -> SentArray:
    sent = SentArray.__new__(SentArray)
    sent._file = file.detach()
    sent.array = shared_array(shape, dtype, sent._file)
    return sent


def borrowed(name: str, shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray | None:
    """The array that another process lends (see ``SentArray.lend``); ``None`` where it cannot be had."""
    try:
        process, number, identity = name.split(" ")
        file = os.open(f"/proc/{int(process)}/fd/{int(number)}", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return None
    try:
        return shared_array(shape, dtype, file) if _identity(file) == identity else None
    except (OSError, ValueError):
        return None
    finally:
        os.close(file)


def _identity(file: int) -> str:
    """What no other file of this machine has while this one is open, nor, but by chance, one of another machine."""
    status = os.fstat(file)
    return f"{status.st_dev}:{status.st_ino}:{status.st_ctime_ns}:{status.st_size}"
