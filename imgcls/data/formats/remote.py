"""Data sets behind an address: lists, shards with their index, and the images of both, each fetched when it is wanted.

A process asks for nothing but the images of its own batches, so the ranks and workers of a run share the traffic as
they share the samples. Which samples there are, and their order, the list or the index says.
"""

import contextlib
import hashlib
import json
import logging
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from imgcls.data.formats import webdataset
from imgcls.data.formats.hugging_face import places_in, readable
from imgcls.data.formats.hugging_face_files import PARQUET, files_of, is_parquet, no_split
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.formats.list_file import read_list
from imgcls.data.formats.packed import PackedSamples, Shard
from imgcls.data.formats.remote_folder import folder_samples, has_folder
from imgcls.data.formats.remote_rows import RemoteRows, RemoteTree, rows_of, shards_of
from imgcls.data.formats.samples import Samples
from imgcls.data.formats.shards import labelled_shards
from imgcls.data.formats.table_list import Columns, is_table, names_of, read_table, table_samples
from imgcls.data.formats.tar_index import INDEX, PlaceOf, ShardIndex, build_index, load_index, save_index
from imgcls.data.formats.webdataset import about, index_name
from imgcls.data.paths import printable
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError
from imgcls.machine.limits import LIST_BYTES, PACKED_BYTES
from imgcls.machine.store import NoSuchFile, Store
from imgcls.machine.turns import one_at_a_time

log = logging.getLogger("imgcls")


@dataclass(frozen=True, eq=False)
class RemoteFiles(Samples):
    """Samples of a list, or of class directories, whose paths start from an address."""

    store: Store

    def source(self, index: int) -> bytes:
        """The content of one image.

        Raises:
            BadImage: there is none at its address.
            UserError: the service does not answer.
        """
        try:
            return self.store.read_kept(self.relative_path(index), PACKED_BYTES)
        except NoSuchFile as error:
            raise BadImage(f"Cannot read the image {error}.") from error

    def stamp(self, index: int) -> tuple[int, ...]:
        raise OSError("nothing is fetched to be compared")

    def size(self, index: int) -> int:
        raise OSError("nothing is fetched to be compared")

    def tail(self, index: int, count: int) -> bytes:
        raise OSError("nothing is fetched to be compared")

    def is_there(self) -> bool:
        return True  # what is not answers with errors of its own


@dataclass(frozen=True, eq=False)
class RemoteShards(PackedSamples):
    """Samples in shards ``below`` an address."""

    store: Store
    below: str

    def source(self, index: int) -> bytes:
        """The content of one image.

        Raises:
            BadImage: its shard is gone, or has another size than when it was indexed.
            UserError: the service does not answer.
        """
        shard = self.shards[self.shard_of[index]]
        place = int(self.offsets[index]), int(self.sizes[index])
        try:
            return self.store.read_part(f"{self.below}{shard.name}", *place, of=shard.size, stamp=str(shard.mtime_ns))
        except NoSuchFile as error:
            raise BadImage(f"Cannot read the image {self.path(index)}: {error}.") from error

    def tail(self, index: int, count: int) -> bytes:
        raise OSError("nothing is fetched to be compared")

    def is_there(self) -> bool:
        return True


def remote_samples(
    store: Store,
    format: str,
    split: str,
    lists: dict[str, str | None],
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    allow_empty_classes: bool,
    left_out: LeftOut | None,
    columns: Columns,
    on_wrong_line: Callable[[int, str], None] | None = None,
    divides: bool = False,
    known: bool = False,
) -> Samples:
    """The samples of a split; see ``build_samples`` for the arguments, ``folder_samples`` for the last two.

    Raises:
        UserError: no list or index is there, something of it is wrong, or the service does not answer.
    """
    options = (num_classes, class_names)
    if format == "folder":
        options = (class_names, allow_empty_classes, left_out, divides, known)
        samples, inner = folder_samples(store, split, *options)
        return RemoteFiles(**_content(samples), store=inner)
    if format == "list":
        samples = _listed(store, split, lists, *options, allow_empty_classes, columns, on_wrong_line)
        return RemoteFiles(**_content(samples), store=store)
    if format == "tar":

        def read(split: str) -> tuple[ShardIndex, str]:
            return _index(store, split, (f"{split}/{INDEX}",), "", build_index)

    else:

        def read(split: str) -> tuple[ShardIndex, str]:
            names = f"{split}/{index_name(split)}", index_name(split)
            return _index(store, split, names, about(columns), partial(_build_webdataset, columns))

    if format == "huggingface":
        read = partial(_hugging_face, store, columns, RemoteTree(store))
    has_training = split != "train" and _is_there(read, "train")
    samples = labelled_shards(store.root, split, read, has_training, *options, allow_empty_classes, left_out)
    if samples.shards[0].name.endswith(PARQUET):
        return RemoteRows(**_content(samples), store=store, columns=columns)
    return RemoteShards(**_content(samples), store=store, below=samples.root.removeprefix(f"{store.root}/"))


def has_remote_split(store: Store, format: str, lists: dict[str, str | None], split: str) -> bool:
    """Whether there is a directory, a list, or an index of shards, of this split."""
    if format == "folder":
        return has_folder(store, split)
    if format == "huggingface":
        return bool(files_of(RemoteTree(store), split))
    names = {"list": (lists[split] or f"{split}_list.txt",), "tar": (f"{split}/{INDEX}",)}
    for name in names.get(format, (f"{split}/{index_name(split)}", index_name(split))):
        try:
            store.read(name, LIST_BYTES)
        except NoSuchFile:
            below = name.removesuffix(name.rpartition("/")[2])
            if format == "list" or not _shards_of(store, below, split):
                continue
        return True
    return False


def _listed(
    store: Store,
    split: str,
    lists: dict[str, str | None],
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    allow_empty_classes: bool,
    columns: Columns,
    on_wrong_line: Callable[[int, str], None] | None,
) -> Samples:
    list_file = _list(store, lists, "train" if columns.split else split)
    ignored = on_wrong_line and (lambda number, fault: None)
    if is_table(list_file):
        table = read_table(list_file, columns, split, on_wrong_line)
        if class_names is None and split == "val":
            training = list_file if columns.split else _list(store, lists, "train")
            class_names = names_of(read_table(training, columns, "train", ignored), num_classes)
        options = (num_classes, class_names, "none", allow_empty_classes, on_wrong_line)
        return table_samples(store.root, table, *options)
    if class_names is None and split == "val" and num_classes is None:
        training = _list(store, lists, "train")
        num_classes = read_list(store.root, training, None, None, "none", True, ignored).num_classes
    return read_list(store.root, list_file, num_classes, class_names, "none", allow_empty_classes, on_wrong_line)


def _list(store: Store, lists: dict[str, str | None], split: str) -> Path:
    """The list of a split: a file of this machine, or else the one at the address."""
    given = lists[split] or f"{split}_list.txt"
    if lists[split] and Path(given).is_file():
        return Path(given)
    try:
        return store.local(given, LIST_BYTES)
    except NoSuchFile as error:
        raise UserError(f"There is no list of the {split} images: {error}. Set data.{split}_list.") from error


def _hugging_face(store: Store, columns: Columns, tree: RemoteTree, split: str) -> tuple[ShardIndex, str]:
    """The index of a split's rows, and the address of the data set with a slash behind it."""
    names = files_of(tree, split)
    if not names:
        raise _NoIndex(str(no_split(tree, split)))
    shards = shards_of(store, names)
    if is_parquet(names):
        return rows_of(store.at(store.root), shards, columns), f"{store.root}/"  # sizes are asked for once more later

    def build(name: str, shards: tuple[Shard, ...], place_of: PlaceOf) -> ShardIndex:
        with readable(name, (shard.size for shard in shards)):
            return places_in(shards, place_of, columns)

    return _looked_through(store, "", shards, f"huggingface {columns.image} {columns.label}", build), f"{store.root}/"


Build = Callable[[str, tuple[Shard, ...], PlaceOf], ShardIndex]


def _build_webdataset(columns: Columns, name: str, shards: tuple[Shard, ...], place_of: PlaceOf) -> ShardIndex:
    return webdataset.build_index(name, shards, columns, place_of)


def _index(store: Store, split: str, names: tuple[str, ...], about: str, build: Build) -> tuple[ShardIndex, str]:
    """The index of a split's shards, and the address of their directory with a slash behind it."""
    reasons: list[str] = []
    for name in names:
        try:
            path = store.local(name, LIST_BYTES)
        except NoSuchFile as error:
            reasons.append(str(error))
            continue
        index = load_index(path, about, any_readers=True)
        if index is None:
            raise UserError(
                f"{store.address(name)} is damaged, or of another version or other columns. Where the shards are "
                "files, imgcls.verify makes it anew; copy it beside them."
            )
        below = name.removesuffix(name.rpartition("/")[2])
        return index, f"{store.root}/{below}"
    for name in names:
        below = name.removesuffix(name.rpartition("/")[2])
        shards = _shards_of(store, below, split, reasons)
        if shards:
            return _looked_through(store, below, shards, about, build), f"{store.root}/{below}"
    raise _NoIndex(
        f"There are no shards for '{split}' at {store.address(names[0])}: neither an index, as scripts/make_shards.py "
        f"makes it where they are files, nor a list of files that end in .tar. ({reasons[-1]})"
    )


def _shards_of(store: Store, below: str, split: str, reasons: list[str] | None = None) -> tuple[Shard, ...]:
    """The shards that the service lists; of a directory without the split in its name, those with it in theirs.

    Args:
        reasons: is told why it lists none.
    """
    try:
        found = store.files(below, ".tar")
    except NoSuchFile as error:
        if reasons is not None:
            reasons.append(str(error))
        return ()
    is_own = below.rstrip("/").endswith(split)
    return tuple(
        Shard(name, size, zlib.crc32(stamp.encode()))
        for name, size, stamp in found
        if is_own or webdataset.OF_SPLIT[split].search(name.lower())
    )


def _looked_through(store: Store, below: str, shards: tuple[Shard, ...], about: str, build: Build) -> ShardIndex:
    """The index that this machine keeps of them, made by copying each for a moment where it has none."""
    known = json.dumps([store.address(below), about, [vars(shard) for shard in shards]])
    kept = store.cache.directory / "indexes" / f"{hashlib.sha256(known.encode()).hexdigest()}.npz"
    with one_at_a_time(kept.with_suffix(".lock"), f"looks through {store.address(below)}"):
        index = load_index(kept, about)
        if index is not None and index.shards == shards:
            return index
        log.info("%s has no index: each shard is copied once, to look through it", store.address(below))

        @contextlib.contextmanager
        def place_of(shard: Shard) -> Iterator[Path]:
            with tempfile.TemporaryDirectory(dir=kept.parent) as directory:
                path = Path(directory, shard.name.rpartition("/")[2])
                store.copy(f"{below}{shard.name}", shard.size, path)
                yield path

        index = build(printable(store.address(below).rstrip("/")), shards, place_of)
        save_index(index, kept, about)
    return index


class _NoIndex(UserError):
    """There is none at any address where it could be."""


def _is_there(read: Callable[[str], Any], split: str) -> bool:
    try:
        read(split)
    except _NoIndex:
        return False
    return True


def _content(samples: Samples) -> dict[str, Any]:
    return {field.name: getattr(samples, field.name) for field in fields(samples)}
