"""Data sets of Hugging Face behind an address: which files they are, and the images of parquet files.

Parquet has no access to one image: it keeps some hundred rows together. What is said of the rows, their classes, is
read at the start without the images; a group of rows is fetched by the process that wants the first image of it, and
its images are in the cache of this machine for all the others.
"""

import contextlib
import os
import threading
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from imgcls.data.formats.hugging_face import (
    UNPACKED,
    add_labels,
    class_names_of,
    columns_of,
    content_of,
    index_of_rows,
    readable,
)
from imgcls.data.formats.hugging_face_files import DEEPEST, is_wanted
from imgcls.data.formats.labels import Labels
from imgcls.data.formats.packed import PackedSamples, Shard
from imgcls.data.formats.samples import Samples
from imgcls.data.formats.table_list import Columns
from imgcls.data.formats.tar_index import ShardIndex
from imgcls.data.paths import printable
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError
from imgcls.machine.limits import COPIES_BYTES, IMAGES_EXPANSION, JSON_BYTES, ROW_GROUP_BYTES
from imgcls.machine.reading import parse_json
from imgcls.machine.store import PART, NoSuchFile, Store
from imgcls.machine.store_file import StoreFile
from imgcls.machine.turns import one_at_a_time

DIRECTORIES = 1000
"""That are listed of one data set."""

LABELS, IMAGES = 1 << 16, 16
"""Rows that are in memory at a time, of classes and of images."""

LABEL_BYTES = 1 << 30
"""That the classes of a split may take, together with what parquet files say of themselves."""

OPEN_FILES, LOCKS = 64, 64
"""Processes of this machine that want images of one group wait for each other; groups share so many locks."""


@dataclass(frozen=True)
class RemoteTree:
    """The files of a data set as their service lists them."""

    store: Store

    @property
    def shown(self) -> str:
        return printable(self.store.root)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        found, waiting, listed = [], [""], 0
        while waiting:
            below = waiting.pop()
            listed += 1
            if listed > DIRECTORIES:
                raise UserError(f"{self.shown} is refused: it has more than {DIRECTORIES:,} directories.")
            try:
                entries = self.store.entries(below)
            except NoSuchFile as error:
                if below:
                    continue  # a link that leads nowhere
                raise UserError(f"data=huggingface wants a service that lists files: {error}.") from error
            for name, is_directory in entries:
                path = f"{below}{name}"
                if not is_directory and is_wanted(path):
                    found.append(path)
                elif is_directory and below.count("/") < DEEPEST and not name.startswith("."):
                    waiting.append(f"{path}/")
        return tuple(found)

    def names(self) -> tuple[str, ...]:
        return self._names

    def content(self, name: str) -> object:
        try:
            return parse_json(self.store.read(name, JSON_BYTES).decode("utf-8", "replace"))
        except (NoSuchFile, ValueError, RecursionError) as error:
            raise UserError(f"{self.store.address(name)} cannot be read: {error}.") from error


def shards_of(store: Store, names: list[str]) -> tuple[Shard, ...]:
    """The files as they are now.

    Raises:
        UserError: one is not there, or the service does not answer.
    """
    found = []
    for name in names:
        try:
            size, stamp = store.state(name)
        except NoSuchFile as error:
            raise UserError(f"A file of the data set cannot be read: {error}.") from error
        found.append(Shard(name, size, zlib.crc32(stamp.encode())))
    return tuple(found)


def rows_of(store: Store, shards: tuple[Shard, ...], columns: Columns) -> ShardIndex:
    """The classes of all rows; ``offsets`` are the numbers of rows in their files.

    Raises:
        UserError: no such column, a row without a class, or something that is no parquet file.
    """
    members, counts, labels, names = [], [], Labels(), None
    with readable(printable(store.root), [min(LABEL_BYTES, sum(shard.size for shard in shards))]):
        for shard in shards:
            parquet, _ = _open(store, shard, threading.get_ident())
            where = store.address(shard.name)
            _, label = columns_of(parquet.schema_arrow, columns, where)
            names = names or class_names_of(parquet.schema_arrow, label)
            row = 0
            for batch in parquet.iter_batches(LABELS, columns=[label], use_threads=False):
                add_labels(labels, batch.column(0), names, where, row)
                row += len(batch)
            counts.append(row)
            numbers = range(len(members), len(members) + row)
            members.extend(b"%s/%08d" % (os.fsencode(shard.name), number) for number in numbers)
    rows = [np.arange(count, dtype=np.int64) for count in counts]
    places = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    return index_of_rows(shards, members, counts, places, np.zeros_like(places), labels, names)


@dataclass(frozen=True, eq=False)
class RemoteRows(PackedSamples):
    """Samples in the rows of parquet files, under the names that they have where the files are on this machine.

    Args:
        columns: which of them hold images.
    """

    store: Store
    columns: Columns

    def relative_path(self, index: int) -> bytes:
        return os.path.join(os.fsencode(UNPACKED), Samples.relative_path(self, index))

    def relative_paths(self, start: int, stop: int) -> list[bytes]:
        return [os.path.join(os.fsencode(UNPACKED), name) for name in Samples.relative_paths(self, start, stop)]

    def path(self, index: int) -> str:
        shard = self.shards[self.shard_of[index]]
        return f"{self.store.address(shard.name)}, row {int(self.offsets[index]) + 1:,}"

    def source(self, index: int) -> bytes:
        """The content of one image.

        Raises:
            BadImage: its file is gone, has changed since the start, or is damaged.
            UserError: the service does not answer, or the row has no image.
        """
        shard, row = self.shards[self.shard_of[index]], int(self.offsets[index])
        if (kept := self._kept(shard, row)) is not None:
            return kept
        try:
            return self._fetched(shard, row)
        except (OSError, _arrow_error()) as error:  # Arrow has both for what is damaged
            reason = str(error).partition("\n")[0][:200]
            raise BadImage(f"Cannot read the image {self.path(index)}: {reason}.") from error

    def size(self, index: int) -> int:
        raise OSError("nothing is fetched to be compared")

    stamp = size

    def tail(self, index: int, count: int) -> bytes:
        raise OSError("nothing is fetched to be compared")

    def is_there(self) -> bool:
        return True

    def _kept(self, shard: Shard, row: int) -> bytes | None:
        return self.store.cache.get(self._key(shard, row))

    def _key(self, shard: Shard, row: int) -> str:
        return f"{self.store.address(shard.name)}\0{shard.size}\0{shard.mtime_ns}\0{self.columns.image}\0row {row}"

    def _fetched(self, shard: Shard, row: int) -> bytes:
        """One image, by way of the group of rows that it is in, all of which are kept."""
        parquet, file = _open(self.store, shard, threading.get_ident())
        ends = np.cumsum([parquet.metadata.row_group(one).num_rows for one in range(parquet.num_row_groups)])
        group = int(np.searchsorted(ends, row, side="right"))
        about = parquet.metadata.row_group(group)
        if about.total_byte_size > ROW_GROUP_BYTES:
            raise UserError(
                f"{self.store.address(shard.name)} is refused: a row group of {about.total_byte_size:,} bytes."
            )
        lock = zlib.crc32(f"{self.store.address(shard.name)} {group}".encode("utf-8", "surrogateescape")) % LOCKS
        turns = self.store.cache.directory / "groups" / f"{lock}.lock"
        with contextlib.ExitStack() as turn:
            with contextlib.suppress(OSError):  # where nothing can be written nothing is kept either
                turn.enter_context(one_at_a_time(turns, None))
            if (kept := self._kept(shard, row)) is not None:
                return kept
            return self._group(shard, parquet, file, group, int(ends[group]) - about.num_rows, row)

    def _group(self, shard: Shard, parquet: Any, file: StoreFile, group: int, first: int, wanted: int) -> bytes:
        where = self.store.address(shard.name)
        image, _ = columns_of(parquet.schema_arrow, self.columns, where)
        most = COPIES_BYTES + IMAGES_EXPANSION * shard.size
        row, content = first, None
        file.is_kept = False
        for batch in parquet.iter_batches(IMAGES, row_groups=[group], columns=[image], use_threads=False):
            for one in content_of(batch.column(0), where, row):
                size = one.as_buffer().size
                most -= size
                if most < 0:
                    raise UserError(f"{where} is refused: its pictures take too many bytes for its size.")
                if row == wanted or self.store.cache_bytes:
                    picture = one.as_py()
                    self.store.cache.put(self._key(shard, row), picture)
                    content = picture if row == wanted else content
                row += 1
            if content is not None and not self.store.cache_bytes:
                break  # nothing is kept: the rest would be fetched again all the same
        if content is None:
            raise NoSuchFile(f"{where} has no row {wanted + 1:,}")
        return content


@lru_cache(OPEN_FILES)
def _open(store: Store, shard: Shard, thread: int) -> tuple[Any, StoreFile]:
    """A parquet file, and what it reads from; of one thread, since it knows where it is."""
    import pyarrow
    import pyarrow.parquet

    file = StoreFile(store, shard.name, shard.size, str(shard.mtime_ns))
    source = pyarrow.PythonFile(file, mode="r")
    return pyarrow.parquet.ParquetFile(source, buffer_size=PART, pre_buffer=False), file


def _arrow_error() -> type[Exception]:
    import pyarrow

    return pyarrow.lib.ArrowException
