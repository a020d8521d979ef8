"""Files and directories that are whole or absent, and how to tell whether one is still the same."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from imgcls.machine.reading import open_regular

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
"""What a file system says that cannot lock: NFS without its lock service, Lustre without flock, some FUSE mounts."""

LONGEST_NAME = 255
"""Bytes that a file system allows."""


def sha256(path: str | os.PathLike) -> str:
    """Hex digest of a regular file's content.

    Raises:
        OSError: it cannot be read, or is a device or a pipe.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_write(path: Path, *, durable: bool = False, shared: bool = False) -> Iterator[Path]:
    """A place beside ``path`` for a file, a directory or a link, which takes the name ``path`` when the block ends.

    Whatever fails or stops the block, nothing is left beside ``path``, and what was there before is
    intact. A kill may leave ``.<name>.partial``, which the next writer removes.

    Args:
        path: a file, link or directory there is replaced. The block makes its parent if need be.
        durable: have the content on the disk before the name, and the name before this returns.
        shared: other processes may write the same ``path`` meanwhile; the last one wins.

    Raises:
        OSError: from the block, or because the disk is full or the name cannot be taken.
    """
    partial = beside(path, f"{os.getpid()}.partial" if shared else "partial")
    remove(partial)
    try:
        yield partial
        if durable:
            for written in (*sorted(partial.rglob("*")), partial):
                _flush(written)
        _take_name(partial, path)
        if durable:
            _flush(path.parent)
    except BaseException as error:
        remove(partial)
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            error.filename = os.fspath(path)  # which a write to an open file does not know
        raise


def beside(path: Path, ending: str) -> Path:
    """The hidden name next to ``path`` that says what it is for: ``.<name>.<ending>``, or a digest of a long name."""
    name = f".{path.name}.{ending}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}.{ending}"
    return path.with_name(name)


def make_own_directory(path: Path) -> Path:
    """Make a directory that was not there: ``path``, or ``path`` with -2, -3, ... behind its name.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own, number = path, 1
    while True:
        try:
            own.mkdir()
        except FileExistsError:
            number += 1
            own = path.with_name(f"{path.name}-{number}")
        else:
            return own


def remove(path: Path) -> None:
    """Delete a file, a link or a whole directory; what cannot be deleted stays, and so does what is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _take_name(partial: Path, path: Path) -> None:
    """Rename; only a directory with something in it has to step aside first."""
    if not path.is_dir() or path.is_symlink() or not any(path.iterdir()):
        partial.replace(path)
        return
    old = partial.with_name(f"{partial.name.removesuffix('partial')}old")
    remove(old)
    path.rename(old)
    partial.rename(path)
    shutil.rmtree(old)


def _flush(path: Path) -> None:
    """Ask the system to put a file, or a directory's entries, on the disk."""
    if path.is_symlink():  # an entry of its directory
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
