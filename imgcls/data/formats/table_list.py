"""Tables of samples: a CSV file with a header, one column with paths and one with classes.

Classes are names, or numbers where it is known what they count. One table may hold both splits, with a column that
says which line is of which.
"""

import csv
import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgcls.data.formats.class_names import class_name, default_class_names
from imgcls.data.formats.image_files import suffixes
from imgcls.data.formats.labels import OF_DIGITS, in_natural_order
from imgcls.data.formats.list_file import SHOWN, read_list_bytes, refuse_missing_files
from imgcls.data.formats.samples import Samples, require_samples_in_every_class
from imgcls.data.paths import bullet_list, printable
from imgcls.errors import UserError, close_matches

TABLES = (".csv", ".tsv")
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
    """The lines of a table: number, path and class of each."""

    name: str
    numbers: list[int]
    paths: list[str]
    labels: list[str]


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
    content = read_list_bytes(list_file, name).removeprefix(b"\xef\xbb\xbf")
    table, wrong = Table(name, [], [], []), []
    header, lines = _lines(content, name)
    image, label, of_split = _places(header, columns, name)
    names = [header[place] for place in (image, label)]
    log.info("%s: pictures from the column '%s', classes from '%s'", name, *map(printable, names))
    for number, line in lines:
        if len(line) != len(header):
            wrong.append((number, f"{len(line)} columns, where the header has {len(header)}"))
            continue
        if of_split is not None and OF_SPLIT.get(line[of_split].strip().lower()) != split:
            continue
        path, text = line[image].strip(), line[label].strip()
        if not path or not text:
            wrong.append((number, f"no {'class' if path else 'path'}: '{printable(','.join(line)[:80])}'"))
            continue
        table.numbers.append(number)
        table.paths.append(path)
        table.labels.append(class_name(text))
    _tell(wrong, name, on_wrong_line)
    if not table.paths:
        of = f" of '{split}' in the column '{printable(columns.split)}'" if columns.split else ""
        raise UserError(f"The table {name} has no lines{of} below its header.")
    return table


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
    if not place.keys() & set(table.labels) and all(map(OF_DIGITS.fullmatch, table.labels)):
        place = {str(number): number for number in range(len(class_names))}
    kept, wrong = [], []
    for index, label in enumerate(table.labels):
        if label in place:
            kept.append(index)
        else:
            advice = close_matches(label, place)
            wrong.append((table.numbers[index], f"there is no class '{printable(label)}'.{advice}"))
    _tell(wrong, table.name, on_wrong_line)
    texts = [os.fsencode(path) for path in _as_they_are(root, [table.paths[index] for index in kept])]
    lengths = np.array([len(text) for text in texts], np.int64)
    ends = np.cumsum(lengths)
    labels = np.array([place[table.labels[index]] for index in kept], np.int32)
    samples = Samples(os.fspath(root), b"".join(texts), ends - lengths, ends, labels, tuple(class_names))
    refuse_missing_files(samples, np.array([table.numbers[index] for index in kept]), table.name, check_files)
    if not allow_empty_classes:
        require_samples_in_every_class(samples, table.name, "Add images, or set data.allow_empty_classes=true.")
    return samples


def names_of(table: Table, num_classes: int | None = None) -> tuple[str, ...]:
    """The classes of a table: as many numbers as there are to be, or the names that occur."""
    found = set(table.labels)
    if num_classes is not None and all(OF_DIGITS.fullmatch(name) for name in found):
        return default_class_names(num_classes)
    return in_natural_order(found)


def _lines(content: bytes, name: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header, and the lines below it that are not empty with their numbers."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"The table {name} is not UTF-8 (byte {error.start:,}). Save it as UTF-8.") from error
    first = text.partition("\n")[0]
    delimiter = max(",\t;", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)

    def lines() -> Iterator[tuple[int, list[str]]]:
        try:
            for row in reader:
                if any(map(str.strip, row)):
                    yield reader.line_num, row
        except csv.Error as error:
            raise UserError(f"The table {name} is no CSV file, at line {reader.line_num}: {error}.") from error

    found = lines()
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


def _tell(wrong: list[tuple[int, str]], name: str, on_wrong_line: Callable[[int, str], None] | None) -> None:
    if wrong and on_wrong_line is None:
        shown = [f"line {number}: {fault}" for number, fault in wrong[:SHOWN]]
        raise UserError(f"{len(wrong):,} lines of the table {name} are wrong:\n{bullet_list(shown, len(wrong))}")
    for number, fault in wrong:
        on_wrong_line(number, fault)


def _as_they_are(root: str | os.PathLike, paths: list[str]) -> list[str]:
    """The paths as the files are called: with slashes, and with the ending that the first one lacks in the table."""

    def is_there(path: str) -> bool:
        return os.path.isfile(os.path.join(root, path))

    if not paths or is_there(paths[0]):
        return paths
    if "\\" in paths[0] and is_there(paths[0].replace("\\", "/")):
        return [path.replace("\\", "/") for path in paths]
    for suffix in (ending.decode() for ending in suffixes()):
        for ending in (suffix, suffix.upper()):
            if is_there(f"{paths[0]}{ending}"):
                return [f"{path}{ending}" for path in paths]
    return paths
