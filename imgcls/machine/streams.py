"""What a program says to whoever listens: in UTF-8 whatever the locale, and on with the work when nobody listens."""

import errno
import io
import locale
import os
import select
import sys
from pathlib import Path
from typing import TextIO

from imgcls.errors import USER_ERROR_STATUS
from imgcls.machine.cpu import inherited_environment

GONE = (errno.EPIPE, errno.EBADF, errno.EIO, errno.ENXIO, errno.ECONNRESET)
"""The reader of a pipe has ended, or a terminal was closed."""


def prepare_streams() -> None:
    """Let this process work as a program: the first line of every one.

    Descriptors that were closed (``2>&-``) are opened on nothing, so that no file takes their number.
    In a locale that is not UTF-8 the program begins again in Python's UTF-8 mode: names of files and of
    classes are then the same text whatever the locale. A terminal is spoken to in its own encoding,
    files and pipes in UTF-8; what cannot be said is escaped. Output that nobody reads any more
    (``| head``) is dropped.
    """
    open_closed_descriptors()
    if _is_program() and sys.getfilesystemencoding() != "utf-8" and "PYTHONUTF8" not in os.environ:
        _begin_again_in_utf8()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _steady(1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _steady(2)


def finished(status: int | str | None) -> int | str | None:
    """What a program ends with: its status, or that of an error if not all of its output could be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        print(f"error: {error.filename or 'standard output'}: {error.strerror}.", file=sys.stderr)
        return status or USER_ERROR_STATUS
    return status


def open_closed_descriptors() -> None:
    """Standard input, output and error on nothing where they are closed, before a file takes their numbers."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the smallest free number


def _is_program() -> bool:
    """Whether this process is ``python -m imgcls...`` and no debugger, notebook or test that calls it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name.startswith("imgcls.") and sys.gettrace() is None


def _begin_again_in_utf8() -> None:
    try:
        arguments = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]  # the bytes as they were typed
    except OSError:
        return
    arguments[:1] = [os.fsencode(sys.executable), b"-X", b"utf8"]  # the variable is for the children, and not for -I
    os.execve(sys.executable, arguments, {**inherited_environment(), "PYTHONUTF8": "1"})


def _steady(descriptor: int) -> TextIO:
    if (stream := (sys.stdout, sys.stderr)[descriptor - 1]) is not None:
        stream.flush()
    on_terminal = os.isatty(descriptor)
    of_terminal = locale.getencoding() if on_terminal else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(descriptor)),
        encoding="utf-8" if of_terminal.upper().startswith(("ANSI", "ASCII", "US-ASCII")) else of_terminal,
        errors="backslashreplace",
        line_buffering=on_terminal or descriptor == 2,
    )


class _Descriptor(io.RawIOBase):
    """Standard output or error; what is written to nobody is lost, and so is everything after it.

    A full disk is an error of standard output, which may be what the program is for, and not of the log.
    """

    def __init__(self, descriptor: int):
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # a pipe that another program has set so, and that is full
                select.select([], [self._descriptor], [])
            except OSError as error:
                if error.errno in GONE:
                    self._silence()
                elif self._descriptor == 1:
                    self._silence()  # what is left in buffers is tried again at the end of the process
                    raise OSError(error.errno, error.strerror, "standard output") from error
                return len(data)

    def _silence(self) -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing != self._descriptor:
            os.dup2(nothing, self._descriptor)
            os.close(nothing)
