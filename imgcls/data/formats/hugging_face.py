"""Data sets of Hugging Face: what ``save_to_disk`` writes, and parquet files with the bytes of images.

Arrow files hold the images as they are, and these are read where they lie. Parquet packs many together: its images
are copied out once, in the order of their rows, into one file in the cache, and read from there; neither needs
pyarrow in the processes that read.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.data.formats.class_names import class_name
from imgcls.data.formats.hugging_face_files import Directory, files_of, is_parquet, no_split
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.formats.labels import Labels, number_labels
from imgcls.data.formats.packed import Shard, state_of
from imgcls.data.formats.table_list import IMAGE_COLUMNS, LABEL_COLUMNS, Columns
from imgcls.data.formats.tar_index import PlaceOf, ShardIndex, load_index, save_index
from imgcls.data.paths import printable
from imgcls.errors import UserError, close_matches
from imgcls.machine.cache import cache_directory
from imgcls.machine.files import atomic_write
from imgcls.machine.limits import COPIES_BYTES, EXPANSION, IMAGES_EXPANSION, ROW_GROUP_BYTES
from imgcls.machine.memory import no_more_than
from imgcls.machine.progress import progress_bar
from imgcls.machine.reading import open_regular, parse_json
from imgcls.machine.store import NoSuchFile
from imgcls.machine.turns import one_at_a_time

FEATURES = b"huggingface"
UNPACKED = "images.bin"
ROWS = 64
"""Of a parquet file that are in memory at a time."""

ROOM = 512 << 20
"""Of memory, that reading takes beside ``EXPANSION`` times the files: Arrow keeps some in advance."""


def index_of(root: Path, split: str, columns: Columns) -> tuple[ShardIndex, Path]:
    """The images of a split, and the directory of the files that they lie in.

    Raises:
        UserError: there is no such split or column, or a picture without its bytes.
    """
    tree = Directory(root)
    names = files_of(tree, split)
    if not names:
        raise no_split(tree, split)
    with readable(printable(root), (os.stat(root / name).st_size for name in names)):
        if is_parquet(names):
            return _unpacked(root, split, [root / name for name in names], columns)
        shards = tuple(state_of(root / name, name) for name in names)
        return places_in(shards, lambda shard: contextlib.nullcontext(root / shard.name), columns), root


@contextlib.contextmanager
def readable(where: str, sizes: Iterable[int]) -> Iterator[None]:
    """While files of these sizes are looked through: what Arrow says of them becomes a message, memory is bounded."""
    try:
        with no_more_than(ROOM + EXPANSION * sum(sizes)):
            yield
    except NoSuchFile as error:
        raise UserError(f"{error}, although it was there a moment ago.") from error
    except (_arrow().lib.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise UserError(f"The data set in {where} cannot be read: {reason}.") from error


def has_split(root: Path, split: str) -> bool:
    """Whether there is any file of this split."""
    return bool(files_of(Directory(root), split))


def is_installed() -> bool:
    """Whether the package is there that reads such files."""
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


MISSING = 'data=huggingface needs the package pyarrow: pip install "imgcls[huggingface]"'


def _arrow() -> Any:
    if not is_installed():
        raise UserError(MISSING)
    import pyarrow

    return pyarrow


def places_in(shards: tuple[Shard, ...], place_of: PlaceOf, columns: Columns) -> ShardIndex:
    """Of Arrow files: where in them the bytes of images lie."""
    arrow = _arrow()
    tables, counts, labels, names = [], [], Labels(), None
    for shard in shards:
        with place_of(shard) as file, open_regular(file), arrow.memory_map(os.fspath(file)) as source:
            whole = source.read_buffer()
            reader = arrow.ipc.open_stream(whole)
            image, label = columns_of(reader.schema, columns, file)
            names = names or class_names_of(reader.schema, label)
            count = 0
            for batch in filter(len, reader):
                content = content_of(batch.column(image), file, count)
                tables.append(_places(content, whole, file))
                add_labels(labels, batch.column(label), names, file, count)
                count += len(batch)
        counts.append(count)
    offsets, sizes = np.ascontiguousarray(np.concatenate(tables).T) if tables else np.zeros((2, 0), np.int64)
    members = [b"%08d" % row for count in counts for row in range(count)]
    return index_of_rows(shards, members, counts, offsets, sizes, labels, names)


def _unpacked(root: Path, split: str, files: list[Path], columns: Columns) -> tuple[ShardIndex, Path]:
    """Of parquet files: the copy of their images, made if it is not there."""
    states = [state_of(file, os.fspath(file.relative_to(root))) for file in files]
    about = json.dumps([os.fspath(root.resolve()), columns.image, columns.label, [vars(state) for state in states]])
    digest = hashlib.sha256(about.encode()).hexdigest()[:16]
    directory = cache_directory() / "data" / f"{root.resolve().name}-{split}-{digest}"
    kept = directory / "index.npz"
    with one_at_a_time(directory.with_suffix(".lock"), f"copies the pictures of {printable(root)}"):
        index = load_index(kept, about)
        images = directory / UNPACKED
        if index is None or not images.is_file() or (state_of(images, UNPACKED),) != index.shards:
            directory.mkdir(parents=True, exist_ok=True)
            with atomic_write(images) as partial:
                names, sizes, labels, class_names = _copy(root, files, columns, partial)
            ends = np.cumsum(sizes, dtype=np.int64)
            shards = (state_of(images, UNPACKED),)
            index = index_of_rows(shards, names, [len(names)], ends - sizes, sizes, labels, class_names)
            save_index(index, kept, about)
    return index, directory


def _copy(
    root: Path, files: list[Path], columns: Columns, target: Path
) -> tuple[list[bytes], np.ndarray, Labels, tuple[str, ...] | None]:
    """Write the images one after the other; returns names, sizes, labels and class names."""
    import pyarrow.parquet

    names, sizes, labels, class_names = [], [], Labels(), None
    most = COPIES_BYTES + IMAGES_EXPANSION * sum(os.stat(file).st_size for file in files)
    with target.open("wb") as out:
        for file in progress_bar(files, desc=f"copying pictures to {printable(target.parent)}", unit=" files"):
            with open_regular(file) as source, pyarrow.parquet.ParquetFile(source) as parquet:
                largest = max(
                    (parquet.metadata.row_group(i).total_byte_size for i in range(parquet.num_row_groups)), default=0
                )
                if largest > ROW_GROUP_BYTES:
                    raise UserError(f"{printable(file)} is refused: a row group of {largest:,} bytes.")
                image, label = columns_of(parquet.schema_arrow, columns, file)
                class_names = class_names or class_names_of(parquet.schema_arrow, label)
                shown = os.fsencode(file.relative_to(root))
                row = 0
                for batch in parquet.iter_batches(ROWS, columns=[image, label], use_threads=False):
                    for one in content_of(batch.column(image), file, row):
                        size = out.write(one.as_buffer())
                        if out.tell() > most:
                            raise UserError(
                                f"{printable(file)} is refused: its pictures take more than {most:,} bytes."
                            )
                        sizes.append(size)
                        names.append(b"%s/%08d" % (shown, len(names)))
                    add_labels(labels, batch.column(label), class_names, file, row)
                    row += len(batch)
    return names, np.array(sizes, np.int64), labels, class_names


def index_of_rows(
    shards: tuple[Shard, ...],
    names: list[bytes],
    counts: list[int],
    offsets: np.ndarray,
    sizes: np.ndarray,
    labels: Labels,
    class_names: tuple[str, ...] | None,
) -> ShardIndex:
    if not names:
        raise UserError("The data set has no rows.")
    classes, found = number_labels(labels)
    lengths = np.array([len(name) for name in names], np.int64)
    shard_of = np.repeat(np.arange(len(shards), dtype=np.int32), counts)
    return ShardIndex(
        shards, class_names or found, b"".join(names), lengths, classes, shard_of, offsets, sizes, LeftOut()
    )


def columns_of(schema: Any, columns: Columns, file: str | Path) -> tuple[str, str]:
    """The names of the columns with images and labels."""
    arrow = _arrow()

    def is_image(name: str) -> bool:
        kind = schema.field(name).type
        if arrow.types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        return arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind)

    def choose(given: str | None, key: str, what: str, usual: tuple[str, ...], fits: Any) -> str:
        if given is not None:
            if given not in schema.names:
                raise UserError(
                    f"{key}={given}: {printable(file)} has no such column.{close_matches(given, schema.names)}"
                )
            if not fits(given):
                raise UserError(f"{key}={given}: the column of {printable(file)} holds no {what}.")
            return given
        able = [name for name in schema.names if fits(name)]
        found = next((name for name in usual if name in able), able[0] if len(able) == 1 else None)
        if found is None:
            shown = ", ".join(map(printable, schema.names[:20]))
            raise UserError(
                f"Which column of {printable(file)} holds the {what}? Say it with {key}=<name>. There are: {shown}."
            )
        return found

    def is_label(name: str) -> bool:
        kind = schema.field(name).type
        return arrow.types.is_integer(kind) or arrow.types.is_string(kind) or arrow.types.is_large_string(kind)

    image = choose(columns.image, "data.image_column", "bytes of pictures", IMAGE_COLUMNS, is_image)
    return image, choose(columns.label, "data.label_column", "classes", LABEL_COLUMNS, is_label)


def class_names_of(schema: Any, label: str) -> tuple[str, ...] | None:
    """What the numbers of the column are called, as the file's own description says."""
    try:
        features = parse_json((schema.metadata or {})[FEATURES].decode("utf-8"))["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        return None
    named = tuple(map(class_name, names))
    return named if len(set(named)) == len(named) else None


def content_of(column: Any, file: str | Path, row: int) -> Any:
    """The binary array of a batch's images, which has a value in each row."""
    arrow = _arrow()
    is_struct = arrow.types.is_struct(column.type)
    content = column.flatten()[column.type.get_field_index("bytes")] if is_struct else column
    content.validate(full=True)  # what it says of its own memory may be a stranger's
    if content.null_count:
        at = next(place for place in range(len(content)) if not content[place].is_valid)
        raise UserError(
            f"{printable(file)}, row {row + at + 1:,}: there is no picture, only the path of one at most. Save the "
            "data set with its pictures: save_to_disk and push_to_hub do, to_parquet by itself does not."
        )
    return content


def _places(content: Any, whole: Any, file: Path) -> np.ndarray:
    """Offset and size in the file of each value, int64 ``[N, 2]``."""
    _, offsets, data = content.buffers()
    wide = _arrow().types.is_large_binary(content.type)
    bounds = np.frombuffer(offsets, np.int64 if wide else np.int32)[content.offset : content.offset + len(content) + 1]
    start = data.address - whole.address
    if not 0 <= start <= whole.size - data.size:
        raise UserError(f"{printable(file)} is compressed: save the data set again, save_to_disk does not compress.")
    return np.stack([bounds[:-1].astype(np.int64) + start, np.diff(bounds).astype(np.int64)], axis=1)


def add_labels(labels: Labels, column: Any, names: tuple[str, ...] | None, file: str | Path, row: int) -> None:
    """Note down the classes of a batch of rows, of which ``row`` is the first."""
    for place, value in enumerate(_values(column)):
        if isinstance(value, str) and value.strip():
            label: int | str = class_name(value.strip())
        elif isinstance(value, int) and value >= 0 and (names is None or value < len(names)):
            label = value
        else:
            known = f" It has {len(names)} classes." if names else ""
            shown = "no class" if value is None else f"the class {printable(str(value)[:40])!r}, which is none"
            raise UserError(f"{printable(file)}, row {row + place + 1:,}: {shown}.{known}")
        try:
            labels.add(label)
        except ValueError as error:
            raise UserError(f"{printable(file)}, row {row + place + 1:,}: {error}.") from error


def _values(column: Any) -> Iterator[Any]:
    column.validate(full=True)
    return iter(column.to_pylist())
