"""Tables of samples: a CSV file with a header, one column with paths and one with classes.

Classes are names, or numbers where it is known what they count. One table may hold both splits, with a column that
says which line is of which.
"""

import logging
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgcls.data.formats.class_names import class_name, default_class_names
from imgcls.data.formats.csv_rows import SHOWN, TABLES, Faults, csv_rows, delimiter_of
from imgcls.data.formats.image_files import suffixes
from imgcls.data.formats.labels import OF_DIGITS, in_natural_order
from imgcls.data.formats.list_file import read_list_bytes, refuse_missing_files
from imgcls.data.formats.samples import Samples, require_samples_in_every_class
from imgcls.data.paths import bullet_list, printable
from imgcls.errors import UserError, close_matches

IMAGE_COLUMNS = (
    "image",
    "images",
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "image_path",
    "image_id",
    "img",
    "id",
)
LABEL_COLUMNS = ("label", "class", "class_name", "target", "category", "labels")
"""Taken where no column is named, the first that is there; in any case of letters."""

OF_SPLIT = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}

log = logging.getLogger("imgcls")


@dataclass(frozen=True)
class Columns:
    """The names of columns, or fields, that the user has given; the usual ones where they are left out."""

    image: str | None = None
    label: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Table:
    """The lines of a table, without a Python object for each.

    Args:
        name: for messages.
        numbers: of the lines, int64 ``[N]``.
        text: the paths, one behind the other.
        ends: where in it each ends, int64 ``[N]``.
        codes: the class of each, as its place in ``names``, int64 ``[N]``.
        names: the classes that occur.
    """

    name: str
    numbers: np.ndarray
    text: bytes
    ends: np.ndarray
    codes: np.ndarray
    names: tuple[str, ...]


def is_table(list_file: str | os.PathLike) -> bool:
    """Whether a list is a table, by its ending."""
    return Path(list_file).suffix.lower() in TABLES


def read_table(
    list_file: Path,
    columns: Columns,
    split: str,
    on_wrong_line: Callable[[int, str], None] | None = None,
) -> Table:
    """The lines of one split.

    Args:
        split: of a table with a column that says so.
        on_wrong_line: called with number and fault of each wrong line, which is then left out.

    Raises:
        UserError: no such columns, no lines, or wrong ones (named by their numbers).
    """
    name = printable(list_file)
    header, lines = _lines(read_list_bytes(list_file, name), name)
    image, label, of_split = _places(header, columns, name)
    taken = [header[place] for place in (image, label)]
    log.info("%s: pictures from the column '%s', classes from '%s'", name, *map(printable, taken))
    numbers, ends, codes, text, known = array("q"), array("q"), array("q"), bytearray(), {}
    faults = Faults(name, on_wrong_line)
    for number, line in lines:
        if len(line) != len(header):
            faults.add(number, f"{len(line)} columns, where the header has {len(header)}")
            continue
        if of_split is not None and OF_SPLIT.get(line[of_split].strip().lower()) != split:
            continue
        path, shown = line[image].strip(), line[label].strip()
        if not path or not shown:
            faults.add(number, f"no {'class' if path else 'path'}: '{printable(','.join(line)[:80])}'")
            continue
        text += os.fsencode(path)
        numbers.append(number)
        ends.append(len(text))
        codes.append(known.setdefault(class_name(shown), len(known)))
    _refuse(faults)
    if not numbers:
        of = f" of '{split}' in the column '{printable(columns.split)}'" if columns.split else ""
        raise UserError(f"The table {name} has no lines{of} below its header.")
    rows, ends, codes = (np.frombuffer(one, np.int64) for one in (numbers, ends, codes))
    return Table(name, rows, bytes(text), ends, codes, tuple(known))


def table_samples(
    root: str | os.PathLike,
    table: Table,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    check_files: str,
    allow_empty_classes: bool,
    on_wrong_line: Callable[[int, str], None] | None = None,
) -> Samples:
    """The lines of a table as samples.

    Args:
        num_classes: the classes are numbers below it, if they all are numbers.
        class_names: what the classes are called; numbers that are no names count these.

    Raises:
        UserError: a class that is none of these, files that are missing, or a class without an image.
    """
    class_names = class_names or names_of(table, num_classes)
    place = {name: number for number, name in enumerate(class_names)}
    if not place.keys() & set(table.names) and all(map(OF_DIGITS.fullmatch, table.names)):
        place = {str(number): number for number in range(len(class_names))}
    labels = np.array([place.get(name, -1) for name in table.names], np.int32)[table.codes]
    faults, messages = Faults(table.name, on_wrong_line), {}
    for index in np.flatnonzero(labels < 0).tolist():
        name = table.names[table.codes[index]]
        if name not in messages:  # comparing with all classes takes its time
            advice = close_matches(name, place) if len(messages) < SHOWN else ""
            messages[name] = f"there is no class '{printable(name)}'.{advice}"
        faults.add(int(table.numbers[index]), messages[name])
    _refuse(faults)
    kept = labels >= 0
    starts = np.concatenate([np.zeros(1, np.int64), table.ends[:-1]])
    text, starts, ends = _as_they_are(root, table.text, starts[kept], table.ends[kept])
    samples = Samples(os.fspath(root), text, starts, ends, labels[kept], tuple(class_names))
    refuse_missing_files(samples, table.numbers[kept], table.name, check_files)
    if not allow_empty_classes:
        require_samples_in_every_class(samples, table.name, "Add images, or set data.allow_empty_classes=true.")
    return samples


def names_of(table: Table, num_classes: int | None = None) -> tuple[str, ...]:
    """The classes of a table: as many numbers as there are to be, or the names that occur."""
    if num_classes is not None and all(map(OF_DIGITS.fullmatch, table.names)):
        return default_class_names(num_classes)
    return in_natural_order(set(table.names))


def _lines(content: bytes, name: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header, and the lines below it that are not empty with their numbers."""
    found = csv_rows(content, name, delimiter_of(content))
    _, header = next(found, (0, []))
    if len(header) < 2:
        raise UserError(
            f"The table {name} needs a header and two columns, one with the paths of the pictures and one with their "
            "classes, with commas between them."
        )
    return [column.strip() for column in header], found


def _places(header: Sequence[str], columns: Columns, name: str) -> tuple[int, int, int | None]:
    """Which columns hold path, class and split."""
    split = None if columns.split is None else _named(header, columns.split, "data.split_column", name)
    image = _column(header, columns.image, IMAGE_COLUMNS, "data.image_column", name, split)
    label = _column(header, columns.label, LABEL_COLUMNS, "data.label_column", name, split, image)
    if image is None and label is not None and len(header) - (split is not None) == 2:
        image = next(place for place in range(len(header)) if place not in (label, split))
    if label is None and image is not None and len(header) - (split is not None) == 2:
        label = next(place for place in range(len(header)) if place not in (image, split))
    if image is None or label is None:
        if any(column.lower().encode().endswith(suffixes()) for column in header):
            raise UserError(f"The first line of {name} names a picture, and no columns. Let it be image,label.")
        key = "data.image_column" if image is None else "data.label_column"
        shown = ", ".join(map(printable, header[:20]))
        what = "paths of the pictures" if image is None else "classes"
        raise UserError(f"Which column of {name} has the {what}? Say it with {key}=<name>. There are: {shown}.")
    return image, label, split


def _column(
    header: Sequence[str], given: str | None, usual: Sequence[str], key: str, name: str, *taken: int | None
) -> int | None:
    if given is not None:
        return _named(header, given, key, name)
    lower = [column.lower() for column in header]
    return next((place for one in usual if one in lower and (place := lower.index(one)) not in taken), None)


def _named(header: Sequence[str], column: str, key: str, name: str) -> int:
    if column not in header:
        shown = ", ".join(map(printable, header[:20]))
        raise UserError(
            f"{key}={column}: {name} has no such column.{close_matches(column, header)} There are: {shown}."
        )
    if header.count(column) > 1:
        raise UserError(f"{key}={column}: {name} has several columns of this name.")
    return header.index(column)


def _refuse(faults: Faults) -> None:
    if faults.count and faults.report is None:
        raise UserError(
            f"{faults.count:,} lines of the table {faults.name} are wrong:\n{bullet_list(faults.first, faults.count)}"
        )


def _as_they_are(
    root: str | os.PathLike, text: bytes, starts: np.ndarray, ends: np.ndarray
) -> tuple[bytes, np.ndarray, np.ndarray]:
    """The paths as the files are called: with slashes, and with the ending that the first one lacks in the table."""

    def is_there(path: bytes) -> bool:
        return os.path.isfile(os.path.join(os.fsencode(root), path))

    first = text[starts[0] : ends[0]] if len(starts) else b""
    if not first or is_there(first):
        return text, starts, ends
    if b"\\" in first and is_there(first.replace(b"\\", b"/")):
        return text.replace(b"\\", b"/"), starts, ends
    for suffix in suffixes():
        for ending in (suffix, suffix.upper()):
            if is_there(first + ending):
                return _with_ending(text, starts, ends, ending)
    return text, starts, ends


def _with_ending(
    text: bytes, starts: np.ndarray, ends: np.ndarray, ending: bytes
) -> tuple[bytes, np.ndarray, np.ndarray]:
    longer = bytearray()
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        longer += text[start:end]
        longer += ending
    lengths = ends - starts + len(ending)
    ends = np.cumsum(lengths)
    return bytes(longer), ends - lengths, ends
