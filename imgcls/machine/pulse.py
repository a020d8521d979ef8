"""Signs of life that the processes of one run give their parent, so that one that hangs is known by name.

A few bytes of shared memory for each process: a count that moves with every piece of work, and whether it is
waiting for the others. A process that neither moves nor waits hangs, whatever it hangs in; those that wait for
it are not to blame. Where no parent looks, nothing is done.
"""

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator

VARIABLE = "IMGCLS_PULSE"
"""Environment variable with the file descriptor of the memory and this process's place in it."""

_SIGN = struct.Struct("=QQ")
"""Pieces of work, and whether it waits."""


class Pulses:
    """What the parent sees of ``count`` processes, which inherit ``descriptor``."""

    def __init__(self, count: int):
        self.descriptor = os.memfd_create("imgcls-pulse")
        os.truncate(self.descriptor, count * _SIGN.size)
        self._memory = mmap.mmap(self.descriptor, count * _SIGN.size)

    def variable(self, place: int) -> str:
        """The value of ``VARIABLE`` for one of the processes."""
        return f"{self.descriptor}:{place}"

    def clear(self, place: int) -> None:
        _SIGN.pack_into(self._memory, place * _SIGN.size, 0, 0)

    def read(self, place: int) -> tuple[int, bool]:
        """The pieces of work that a process has begun, 0 before its first, and whether it waits for others."""
        count, waiting = _SIGN.unpack_from(self._memory, place * _SIGN.size)
        return count, bool(waiting)

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)


class _Own:
    """This process's place in the parent's memory."""

    def __init__(self, descriptor: int, place: int):
        self.memory = mmap.mmap(descriptor, 0)
        self.offset = place * _SIGN.size
        self.count = self.waits = 0

    def show(self) -> None:
        _SIGN.pack_into(self.memory, self.offset, self.count, self.waits)


_own: _Own | None = None


def begin() -> None:
    """Let this process show its parent that it lives, if that looks; ``beat`` is watched from its first call on."""
    global _own
    if value := os.environ.pop(VARIABLE, ""):  # not for processes that this one starts
        descriptor, _, place = value.partition(":")
        _own = _Own(int(descriptor), int(place))


def beat() -> None:
    """A piece of work begins, of which none takes minutes: an update, a batch of an evaluation, a file of a save."""
    if _own:
        _own.count += 1
        _own.show()


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Inside, this process waits for others and for nothing else."""
    if not _own:
        yield
        return
    _own.waits += 1
    _own.show()
    try:
        yield
    finally:
        _own.waits -= 1
        if _own.count:  # the work goes on from here
            _own.count += 1
        _own.show()
