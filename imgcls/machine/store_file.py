"""A file of a store for libraries that read files by themselves: what they ask for is fetched, and no more."""

import io

from imgcls.machine.store import PART, Store


class StoreFile(io.RawIOBase):
    """Of ``size`` bytes; ``stamp`` tells a change.

    ``is_kept`` says of what is read next whether it stays in the store's cache.

    Raises:
        NoSuchFile, UserError: while it is read, see ``Store.read_part``.
    """

    def __init__(self, store: Store, name: str, size: int, stamp: str):
        self.store, self.name, self.size, self.stamp = store, name, size, stamp
        self.is_kept = True
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """All that was asked for, as far as the file goes."""
        left = max(0, self.size - self._at)
        left = left if size is None or size < 0 else min(size, left)
        parts = []
        while left:
            parts.append(self._part(min(left, PART)))
            self._at += len(parts[-1])
            left -= len(parts[-1])
        return b"".join(parts)

    def _part(self, size: int) -> bytes:
        if self.is_kept:
            return self.store.read_part(self.name, self._at, size, of=self.size, stamp=self.stamp)
        self.store.require_size(self.name, self.size)
        return self.store.part(self.name, self._at, size)
