"""A directory of contents by name that takes no more than so many bytes; any number of processes share it.

It is divided into parts, each with a lock and a bound of its own, so that nobody ever looks through all of it. What
was used longest ago goes first. A content is whole or absent, and compared with its check sum when it is read.
"""

import contextlib
import fcntl
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

PARTS = 64
KEPT = 0.8
"""Of a part that is full, what stays."""

SUM = 4
"""Bytes of the check sum before a content."""


class BoundedCache:
    """Contents that can be had again: whatever fails here, they are only fetched once more.

    Args:
        directory: made when something is first put there.
        limit: bytes, of all parts together; nothing is kept for 0. A content larger than a part's is not kept.
    """

    def __init__(self, directory: Path, limit: int):
        self.directory = directory
        self.limit = limit // PARTS

    def get(self, name: str) -> bytes | None:
        """The content that was put under this name, or ``None``."""
        if not self.limit:
            return None
        path = self._path(name)
        try:
            content = path.read_bytes()
            if int.from_bytes(content[:SUM], "little") != zlib.crc32(content[SUM:]):
                path.unlink(missing_ok=True)
                return None
            os.utime(path)
        except OSError:
            return None
        return content[SUM:]

    def put(self, name: str, content: bytes) -> None:
        """Keep a content, and let others go that were not used for longest."""
        size = len(content) + SUM
        if size > self.limit:
            return
        path = self._path(name)
        with contextlib.suppress(OSError), _locked(path.parent) as lock:
            used = int.from_bytes(os.pread(lock, 8, 0), "little")
            if used + size > self.limit:
                used = _make_room(path.parent, self.limit - size)
            partial = path.with_name(f".{path.name}.partial")
            partial.write_bytes(zlib.crc32(content).to_bytes(SUM, "little") + content)
            partial.replace(path)
            os.pwrite(lock, (used + size).to_bytes(8, "little"), 0)

    def _path(self, name: str) -> Path:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.directory / f"{int(digest[:4], 16) % PARTS:02d}" / digest


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[int]:
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _make_room(directory: Path, limit: int) -> int:
    """Remove what was used longest ago until a good part of the limit is free; returns the bytes that stay."""
    found = []
    for entry in os.scandir(directory):
        if entry.name.endswith(".partial"):  # of a process that was killed
            os.unlink(entry.path)
        elif not entry.name.startswith("."):
            state = entry.stat()
            found.append((state.st_mtime_ns, state.st_size, entry.path))
    used = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if used <= min(limit, int(KEPT * limit)):
            break
        os.unlink(path)
        used -= size
    return used
