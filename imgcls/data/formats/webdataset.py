"""WebDataset shards: members ``0001.jpg`` and ``0001.cls`` (or ``0001.json``) of one name are a sample.

The name of a sample is what stands before the first dot of a member's file name, with its directories; what stands
behind is the kind of content. A label is a whole number or a class name. The shards are those of ``train/`` and
``val/``, or lie in one directory and have the split in their names, as ``imagenet-train-0000.tar``.
"""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.data.formats.class_names import class_name
from imgcls.data.formats.image_files import LeftOut, suffixes
from imgcls.data.formats.labels import Labels, label_of_text, number_labels
from imgcls.data.formats.packed import Shard, state_of
from imgcls.data.formats.table_list import Columns
from imgcls.data.formats.tar_index import (
    PlaceOf,
    ShardIndex,
    TarMember,
    in_directory,
    load_index,
    require_plain,
    save_index,
    shard_members,
)
from imgcls.data.paths import bullet_list, printable
from imgcls.errors import UserError, close_matches
from imgcls.machine.limits import LABEL_BYTES
from imgcls.machine.progress import progress_bar
from imgcls.machine.reading import parse_json

CLASS, JSON, LABEL = "cls", "json", "label"
"""Kinds of content that hold a label, the first before the second, and the field of the second that is it."""

OF_SPLIT = {
    "train": re.compile(r"(?<![a-z])train(?:ing)?(?![a-z])"),
    "val": re.compile(r"(?<![a-z])val(?:id(?:ation)?)?(?![a-z])"),
}
"""What names of shards say of their split, in lower case."""


def index_of(root: Path, split: str, columns: Columns) -> tuple[ShardIndex, Path]:
    """The samples of a split, and the directory of its shards; the index is kept there.

    Args:
        columns: ``label`` is a kind of content (``cls``) or a field of the JSON, ``image`` the kind of content that is
            the image where a sample has several.

    Raises:
        UserError: no shards, damaged ones, or samples without a label or with several images.
    """
    directory, shards = _shards(root, split)
    path = directory / index_name(split)
    kept = load_index(path, about(columns))
    if kept is not None and kept.shards == shards:
        return kept, directory
    index = build_index(printable(directory), shards, columns, in_directory(directory))
    save_index(index, path, about(columns))
    return index, directory


def index_name(split: str) -> str:
    """Of the file that is kept beside the shards."""
    return f"index-webdataset-{split}.npz"


def about(columns: Columns) -> str:
    """What an index depends on beside the shards."""
    return f"webdataset {columns.image} {columns.label}"


def has_split(root: Path, split: str) -> bool:
    """Whether there is any shard of this split."""
    return bool(_paths(root, split)[1])


def _shards(root: Path, split: str) -> tuple[Path, tuple[Shard, ...]]:
    directory, paths = _paths(root, split)
    if not paths:
        raise UserError(
            f"{printable(root)} has no shards for '{split}'. They are plain tar files, {printable(root)}/{split}/"
            f"<name>.tar, or {printable(root)}/<name>.tar with '{split}' as a word in the name. (gunzip .tar.gz first.)"
        )
    return directory, tuple(state_of(path, path.name) for path in paths)


def _paths(root: Path, split: str) -> tuple[Path, list[Path]]:
    own = root / split
    if own.is_dir():
        return own, _tars(own)
    return root, [path for path in _tars(root) if OF_SPLIT[split].search(path.name.lower())]


def _tars(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*.tar") if not path.name.startswith("."))


def build_index(name: str, shards: tuple[Shard, ...], columns: Columns, place_of: PlaceOf) -> ShardIndex:
    """Look through shards one after the other, whose directory messages call ``name``.

    Raises:
        UserError: see ``index_of``.
    """
    names, tables, counts, labels = [], [], [], Labels()
    left_out = LeftOut()
    for shard in progress_bar(shards, desc=f"indexing {os.path.basename(name)}", unit=" shards"):
        with place_of(shard) as path:
            images = _scan(path, columns.label, columns.image, labels, left_out)
        require_plain(images, path)
        names.append(b"".join(one.name for one in images))
        table = [(len(one.name), one.offset, one.size) for one in images]
        tables.append(np.array(table, np.int64).reshape(-1, 3))
        counts.append(len(images))
    if not sum(counts):
        noted = f"\n{left_out.line()}" if left_out else ""
        raise UserError(f"There is no image in the {len(shards)} shards of {name}.{noted}")
    classes, class_names = number_labels(labels)
    lengths, offsets, sizes = np.ascontiguousarray(np.concatenate(tables).T)
    shard_of = np.repeat(np.arange(len(shards), dtype=np.int32), counts)
    return ShardIndex(shards, class_names, b"".join(names), lengths, classes, shard_of, offsets, sizes, left_out)


def _scan(path: Path, label: str | None, image: str | None, labels: Labels, left_out: LeftOut) -> list[TarMember]:
    """The images of a shard, whose labels are added to ``labels``."""
    samples: dict[bytes, dict[str, TarMember]] = {}
    for member in shard_members(path):
        name, _, kind = os.path.basename(member.name).partition(b".")
        if name and kind:
            key = os.path.join(os.path.dirname(member.name), name)
            samples.setdefault(key, {})[kind.decode("utf-8", "backslashreplace").lower()] = member
    endings = tuple(suffix.decode() for suffix in suffixes())
    found, faults = [], []
    with path.open("rb") as file:
        for key, parts in samples.items():
            kinds = [kind for kind in parts if (kind == image if image else f".{kind}".endswith(endings))]
            if not kinds:
                left_out.files["samples without a picture"] += 1
                continue
            if len(kinds) > 1:
                faults.append(f"{printable(key)} has several pictures, {' and '.join(kinds)}: data.image_column=<one>")
                continue
            try:
                labels.add(_label(file.fileno(), parts, label))
            except ValueError as error:
                faults.append(f"{printable(key)}: {error}")
                continue
            found.append(parts[kinds[0]])
    if faults:
        raise UserError(
            f"{len(faults):,} samples of {printable(path)} are wrong:\n{bullet_list(faults[:5], len(faults))}"
        )
    return found


def _label(descriptor: int, parts: dict[str, TarMember], wanted: str | None) -> int | str:
    def content(member: TarMember) -> str:
        if not member.is_plain or member.size > LABEL_BYTES:
            raise ValueError(f"{printable(member.name)} is no small text")
        return os.pread(descriptor, member.size, member.offset).decode("utf-8", "strict")

    kind = (wanted or CLASS).lower()
    if kind in parts and kind != JSON:
        text = content(parts[kind]).strip()
        if not text:
            raise ValueError(f"{printable(parts[kind].name)} is empty")
        return label_of_text(text)
    if JSON not in parts:
        raise ValueError(f"there is no .{kind} and no .json beside {', '.join(f'.{one}' for one in parts)}")
    try:
        fields = parse_json(content(parts[JSON]))
    except RecursionError as error:
        raise ValueError(f"{printable(parts[JSON].name)} is nested too deep") from error
    return _field(fields, wanted or LABEL, parts[JSON])


def _field(fields: Any, name: str, member: TarMember) -> int | str:
    if not isinstance(fields, dict):
        raise ValueError(f"{printable(member.name)} holds no fields")
    if name not in fields:
        known = ", ".join(map(printable, list(fields)[:10]))
        raise ValueError(
            f"{printable(member.name)} has no field '{name}'.{close_matches(name, map(str, fields))} It has {known}; "
            "data.label_column names the one"
        )
    value = fields[name]
    if isinstance(value, str) and value.strip():
        return class_name(value.strip())
    if type(value) is not int:
        raise ValueError(f"the field '{name}' of {printable(member.name)} is neither a whole number nor a name")
    return value
