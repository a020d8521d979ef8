"""Where each image lies in a directory of tar shards: found out once, kept beside the shards.

The shards are plain (uncompressed) tar files. An image's class is the directory it is in, as in
``cat/1.jpg``; or every shard holds a ``list.txt`` of lines ``path label``, which says both which
images count and what they are. ``index.npz`` is made anew when a shard comes, goes or changes its
size or time.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.data.formats.class_names import folder_of_class
from imgcls.data.formats.image_files import HEAD, LeftOut, suffixes, takes_file, takes_folder
from imgcls.data.formats.list_file import parse_list
from imgcls.data.formats.packed import Shard, state_of
from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.machine.files import atomic_write
from imgcls.machine.limits import JSON_BYTES
from imgcls.machine.npz import read_arrays
from imgcls.machine.progress import progress_bar
from imgcls.machine.reading import open_regular, parse_json
from imgcls.machine.tar import members

INDEX = "index.npz"
LIST = b"list.txt"
VERSION = 3

PlaceOf = Callable[[Shard], contextlib.AbstractContextManager[Path]]
"""Where a shard can be read as a file, while the context lasts."""

log = logging.getLogger("imgcls")


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """The images of a directory of shards, in the order of shards and members (or list lines).

    Args:
        folders: names of the class directories, sorted; ``None`` when lists give the labels.
        names: the members' names one after the other.
        lengths: int64 ``[N]``, of each name.
        classes: int32 ``[N]``, a number of ``folders``, or the label of the list.
        shard_of: int32 ``[N]``.
        offsets: int64 ``[N]``, where in its shard the image's content begins.
        sizes: int64 ``[N]``, of the content.
        left_out: of the shards without a list: members that are no images.
    """

    shards: tuple[Shard, ...]
    folders: tuple[str, ...] | None
    names: bytes
    lengths: np.ndarray
    classes: np.ndarray
    shard_of: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    left_out: LeftOut


def read_index(directory: str | os.PathLike) -> ShardIndex:
    """The index of the shards in ``directory``: the one that is kept there, or a new one.

    Raises:
        UserError: no shards, or one that is compressed, damaged, or has images without a label.
    """
    directory = Path(directory)
    shards = _shards(directory)
    kept = load_index(directory / INDEX)
    if kept is not None and kept.shards == shards:
        return kept
    index = build_index(printable(directory), shards, in_directory(directory))
    save_index(index, directory / INDEX)
    return index


def in_directory(directory: Path) -> PlaceOf:
    """Shards that are files there."""
    return lambda shard: contextlib.nullcontext(directory / shard.name)


def _shards(directory: Path) -> tuple[Shard, ...]:
    paths = sorted(path for path in directory.glob("*.tar") if not path.name.startswith("."))
    if not paths:
        compressed = next((path for pattern in ("*.tar.*", "*.tgz") for path in directory.glob(pattern)), None)
        raise UserError(
            f"{printable(directory)} has no plain tar files, <name>.tar. "
            + (
                f"Uncompress {printable(compressed.name)} and the like first, with gunzip or what fits."
                if compressed
                else "scripts/make_shards.py makes them from a folder or from lists."
            )
        )
    return tuple(state_of(path, path.name) for path in paths)


@dataclass(frozen=True, slots=True)
class TarMember:
    """What a shard holds under a name, but for directories; ``is_plain``: a whole file, no link."""

    name: bytes
    offset: int
    size: int
    is_plain: bool


def build_index(name: str, shards: tuple[Shard, ...], place_of: PlaceOf) -> ShardIndex:
    """Look through shards one after the other.

    Args:
        name: of their directory, for messages.

    Raises:
        UserError: see ``read_index``.
    """
    names, tables, classes = [], [], []
    number_of: dict[bytes, int] = {}  # folders as they come
    listed: list[bool] = []
    left_out = LeftOut()
    for shard in progress_bar(shards, desc=f"indexing {os.path.basename(name)}", unit=" shards"):
        with place_of(shard) as path:
            images, labels = _scan(path, left_out)
        listed.append(labels is not None)
        if labels is None:
            folders = [_folder(image, path) for image in images]
            labels = [number_of.setdefault(folder, len(number_of)) for folder in folders]
        names.append(b"".join(image.name for image in images))
        table = [(len(image.name), image.offset, image.size) for image in images]
        tables.append(np.array(table, np.int64).reshape(-1, 3))
        classes.append(np.array(labels, np.int32))
    if len(set(listed)) > 1:
        odd = shards[listed.index(not listed[0])].name
        raise UserError(f"Some shards of {name} hold a {printable(LIST)} and some do not, {odd} first.")
    counts = [len(part) for part in classes]
    classes = np.concatenate(classes)
    if not len(classes):
        noted = f"\n{left_out.line()}" if left_out else ""
        raise UserError(f"There is no image in the {len(shards)} tar files of {name}.{noted}")
    folder_of = folder_of_class(number_of, name)
    if not listed[0]:
        sorted_number = {folder: number for number, folder in enumerate(folder_of.values())}
        classes = np.array([sorted_number[folder] for folder in number_of], np.int32)[classes]
    lengths, offsets, sizes = np.ascontiguousarray(np.concatenate(tables).T)
    return ShardIndex(
        shards,
        None if listed[0] else tuple(folder_of),
        b"".join(names),
        lengths,
        classes,
        np.repeat(np.arange(len(shards), dtype=np.int32), counts),
        offsets,
        sizes,
        left_out,
    )


def _scan(path: Path, left_out: LeftOut) -> tuple[list[TarMember], list[int] | None]:
    """The images of one shard; with labels if it holds a list, which then says which images count."""
    members = list(shard_members(path))
    list_member = next((member for member in members if member.name == LIST), None)
    if list_member is None:
        images, labels = [member for member in members if _is_image(path, member, left_out)], None
    else:
        images, labels = _listed(path, members, list_member)
    require_plain(images, path)
    return images, labels


def require_plain(images: Iterable[TarMember], path: Path) -> None:
    """Refuse a shard that has an image as a link, or in pieces.

    Raises:
        UserError: naming the first.
    """
    odd = next((image for image in images if not image.is_plain), None)
    if odd is not None:
        raise UserError(
            f"{printable(path)} holds {printable(odd.name)} as a link or in pieces. Make the shard anew with the files "
            "themselves (tar --dereference --hard-dereference)."
        )


def _is_image(path: Path, member: TarMember, left_out: LeftOut) -> bool:
    def head() -> bytes:
        with path.open("rb") as file:
            return os.pread(file.fileno(), min(member.size, HEAD), member.offset)

    *folders, name = member.name.split(b"/")
    return all(takes_folder(folder, left_out) for folder in folders) and takes_file(name, head, left_out)


def _listed(path: Path, members: list[TarMember], list_member: TarMember) -> tuple[list[TarMember], list[int]]:
    name = f"{printable(path)}/{printable(LIST)}"
    with path.open("rb") as file:
        text = os.pread(file.fileno(), list_member.size, list_member.offset)
    paths, labels = parse_list(text, name)
    by_name = {member.name: member for member in members}
    missing = [listed for listed in paths if listed not in by_name]
    if missing:
        raise UserError(
            f"{len(missing):,} images of {name} are not in that shard, {printable(missing[0])} is the first."
        )
    return [by_name[listed] for listed in paths], labels


def shard_members(path: Path) -> Iterator[TarMember]:
    """All members of a shard, in order.

    Raises:
        UserError: it is no whole plain tar file.
    """
    name = printable(path)
    try:
        with open_regular(path) as file:
            for member in members(file, name):
                if member.kind != "directory":
                    is_plain = member.kind == "file"
                    yield TarMember(os.path.normpath(member.path), member.offset, member.size, is_plain)
    except ValueError as error:
        if error.at:
            raise UserError(f"{name} is cut off or damaged at byte {error.at:,}. Copy or make it anew.") from error
        raise UserError(
            f"{name} is not a plain tar file, or is damaged: {error}. Uncompress it, or make it anew."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot read {name}: {error.strerror or error}.") from error


def _folder(member: TarMember, path: Path) -> bytes:
    folder = os.path.basename(os.path.dirname(member.name))
    if not folder:
        raise UserError(
            f"{printable(path)}: the image {printable(member.name)} has no class. Images are in a directory named "
            f"after their class, as cat/1.jpg, or the shard holds a {printable(LIST)} of lines 'path label'."
        )
    return folder


ARRAYS = ("lengths", "classes", "shard_of", "offsets", "sizes")


def save_index(index: ShardIndex, path: Path, about: str = "") -> None:
    """Whole or not at all; where nothing can be written, the next start looks through the shards again.

    Args:
        about: what it depends on beside the shards.
    """
    header = {
        "version": VERSION,
        "suffixes": _known(),
        "shards": [asdict(shard) for shard in index.shards],
        "folders": index.folders,
        "left_out": {"files": index.left_out.files, "folders": index.left_out.folders},
        **({"about": about} if about else {}),
    }
    try:
        with atomic_write(path, shared=True) as partial, partial.open("wb") as file:
            np.savez(
                file,
                header=np.frombuffer(json.dumps(header).encode(), np.uint8),
                names=np.frombuffer(index.names, np.uint8),
                **{name: getattr(index, name) for name in ARRAYS},
            )
    except OSError as error:
        log.warning("Cannot keep the index %s (%s): the next start makes it anew.", printable(path), error.strerror)


def _known() -> list[str]:
    """What an index depends on beside its shards: with another reader, other members are images."""
    return [suffix.decode() for suffix in suffixes()]


def load_index(path: Path, about: str = "", any_readers: bool = False) -> ShardIndex | None:
    """``None`` for no index, a damaged one, or one of another version, other readers or ``about`` something else.

    Args:
        any_readers: it may have been made where other kinds of images can be read.
    """
    try:
        with open_regular(path) as file:
            arrays = read_arrays(file)
        if len(arrays["header"]) > JSON_BYTES:
            return None
        header: dict[str, Any] = parse_json(arrays["header"].tobytes().decode())
        if (header["version"], header.get("about", "")) != (VERSION, about):
            return None
        if header["suffixes"] != _known() and not any_readers:
            return None
        shards = tuple(Shard(**shard) for shard in header["shards"])
        folders = None if header["folders"] is None else tuple(map(str, header["folders"]))
        left_out = LeftOut(**header["left_out"])
        columns = {name: arrays[name] for name in ARRAYS}
        index = ShardIndex(shards, folders, arrays["names"].tobytes(), left_out=left_out, **columns)
        return index if _is_sound(index) else None
    except Exception:  # no such file, or whatever zipfile, numpy and json make of a damaged one
        return None


def _is_sound(index: ShardIndex) -> bool:
    """Whether all that it says lies within the shards and the names that it says it of: it may have come with them."""
    columns = [getattr(index, name) for name in ARRAYS]
    if len({column.shape for column in columns}) != 1 or any(column.dtype.kind != "i" for column in columns):
        return False
    ends = np.array([shard.size for shard in index.shards], np.int64)[index.shard_of]
    within = index.offsets <= ends - index.sizes  # no sum, which could overflow
    return (
        columns[0].ndim == 1
        and all(bool((column >= 0).all()) for column in columns)
        and bool(within.all())
        and int(index.lengths.max(initial=0)) <= len(index.names)
        and int(index.lengths.sum()) == len(index.names)
        and (index.folders is None or int(index.classes.max(initial=0)) < len(index.folders))
    )
