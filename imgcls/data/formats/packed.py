"""Images inside larger files: read by position where they lie, nothing is unpacked."""

import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.data.paths import printable
from imgcls.data.pictures.decode import BadImage

OPEN_SHARDS = 256


@dataclass(frozen=True)
class Shard:
    """A file that holds images, as it was when it was indexed."""

    name: str
    size: int
    mtime_ns: int


def state_of(path: str | os.PathLike, name: str) -> Shard:
    """The file as it is now.

    Raises:
        OSError: there is none.
    """
    state = os.stat(path)
    return Shard(name, state.st_size, state.st_mtime_ns)


@dataclass(frozen=True, eq=False)
class PackedSamples(Samples):
    """Samples whose paths are those of members inside shards: ``root/<shard>/<member>``.

    Args:
        shards: the files in ``root``.
        shard_of: int32 ``[N]``.
        offsets: int64 ``[N]``, where in its shard each image's content begins.
        sizes: int64 ``[N]``, of the content.
    """

    shards: tuple[Shard, ...]
    shard_of: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray

    def relative_path(self, index: int) -> bytes:
        return os.path.join(os.fsencode(self.shards[self.shard_of[index]].name), super().relative_path(index))

    def relative_paths(self, start: int, stop: int) -> list[bytes]:
        names = [os.fsencode(shard.name) for shard in self.shards]
        members = zip(self.shard_of[start:stop].tolist(), super().relative_paths(start, stop), strict=True)
        return [os.path.join(names[shard], member) for shard, member in members]

    def source(self, index: int) -> bytes:
        """The content of one image.

        Raises:
            BadImage: its shard is gone, has changed since it was indexed, or cannot be read.
        """
        return self._last(index, int(self.sizes[index]))

    def size(self, index: int) -> int:
        return int(self.sizes[index])

    def stamp(self, index: int) -> tuple[int, ...]:
        return self.size(index), self.shards[self.shard_of[index]].mtime_ns

    def tail(self, index: int, count: int) -> bytes:
        return self._last(index, min(count, int(self.sizes[index])))

    def _last(self, index: int, count: int) -> bytes:
        shard = self.shards[self.shard_of[index]]
        end = int(self.offsets[index]) + int(self.sizes[index])
        path = os.path.join(self.root, shard.name)
        try:
            content = open_shard(path, shard).read(end - count, count)
        except OSError as error:
            where = printable(self.path(index))
            raise BadImage(f"Cannot read the image {where}: {error.strerror or error}.") from error
        if len(content) < count:
            raise BadImage(f"The shard {printable(path)} was cut off since training began.")
        return content


class _OpenShard:
    """A file that is read by position, so that processes may share it; closed with its last reference."""

    def __init__(self, path: str, shard: Shard):
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        state = os.fstat(self.descriptor)
        if (state.st_size, state.st_mtime_ns) != (shard.size, shard.mtime_ns):
            raise BadImage(f"The shard {printable(path)} has changed since it was indexed. Start again.")

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self.descriptor, size, offset)

    def __del__(self, close=os.close) -> None:  # bound early: at the end of a process modules are gone
        if hasattr(self, "descriptor"):
            close(self.descriptor)


@lru_cache(OPEN_SHARDS)
def open_shard(path: str, shard: Shard) -> _OpenShard:
    """The shard at ``path``, open; the last ``OPEN_SHARDS`` stay so.

    Raises:
        OSError: it is gone.
        BadImage: it has changed since it was indexed.
    """
    return _OpenShard(path, shard)
