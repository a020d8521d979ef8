"""A directory is written by one process at a time."""

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from imgcls.errors import UserError

LOCK = ".lock"


def hold(path: Path, lock: Path | None = None, choose: str = "run.name") -> int:
    """Lock a directory for this process, until the descriptor that is returned is closed.

    Args:
        lock: the file that is locked; one in the directory when left out.
        choose: the key that names another directory, for the message.

    Raises:
        UserError: another process holds it.
        OSError: it cannot be written to, or its file system has no locks.
    """
    lock = lock or path / LOCK
    descriptor = _open(lock)
    try:
        # A record lock, unlike flock's, is not inherited by data workers, who may outlive a killed run a little.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        os.close(descriptor)
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        what = f"the run {path}" if choose == "run.name" else path
        raise UserError(
            f"Another process is writing {what} ({holder or 'unknown'}). Wait for it, stop it, or choose another "
            f"{choose}."
        ) from error
    if not _is_there(descriptor, lock):  # removed by the one that held it until now
        os.close(descriptor)
        return hold(path, lock, choose)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return descriptor


def is_held(path: Path, descriptor: int) -> bool:
    """Whether the lock of a directory is still the one that ``hold`` has given."""
    return _is_there(descriptor, path / LOCK)


@contextlib.contextmanager
def held(path: Path, lock: Path | None = None, choose: str = "run.name") -> Iterator[None]:
    """Hold a directory while this context lasts, and leave no lock behind; not held where there are no locks.

    Raises:
        UserError: see ``hold``.
    """
    try:
        descriptor = hold(path, lock, choose)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        (lock or path / LOCK).unlink(missing_ok=True)
        os.close(descriptor)


def _open(lock: Path) -> int:
    """The file alone: a link could lead to another, which would lose its content, a pipe would wait."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ELOOP, errno.ENXIO):
            raise
        raise _no_file(lock) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(lock)
    return descriptor


def _no_file(lock: Path) -> UserError:
    return UserError(f"{lock} is no file of ours but a directory, a link or the like. Remove it.")


def _is_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False
