"""Work that several processes want done and one does, while the others wait for it."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger("imgcls")


@contextlib.contextmanager
def one_at_a_time(lock: Path, what: str | None) -> Iterator[None]:
    """Held by one process at a time; the system frees it when its holder dies.

    Args:
        lock: a file beside what is made; its directory is made if need be.
        what: the other process does, for the log: ``downloads x.tar``; nothing is said of it without.

    Raises:
        OSError: the file cannot be made, or its file system has no locks.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if what:
                log.info("waiting for another process that %s", what)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
