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

    def __reduce__(self) -> tuple:
        return _received, (reduction.DupFd(self._file), self.array.shape, self.array.dtype)

    def __del__(self, close: Callable[[int], None] = os.close):  # modules may be gone by then
        close(self._file)


def _received(file: object, shape: tuple[int, ...], dtype: np.dtype) -> SentArray:
    sent = SentArray.__new__(SentArray)
    sent._file = file.detach()
    sent.array = shared_array(shape, dtype, sent._file)
    return sent
