"""Lists of samples with several labels: lines ``path 0,3,7``, or a CSV file with a header.

A picture without a tag has ``-`` in a list and an empty cell in a CSV file. Commas, tabs or semicolons stand between
the columns, of which the first holds the paths; either the second holds the names of tags with ``;`` or ``|`` between
them, or each of the other columns is a tag, with 1 or 0 for each picture.
"""

import io
import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from imgcls.data.formats.class_names import class_name
from imgcls.data.formats.csv_rows import TABLES, Faults, csv_rows, delimiter_of
from imgcls.data.formats.list_file import read_list_bytes
from imgcls.data.formats.tags import MOST_TAGS
from imgcls.data.paths import bullet_list, printable
from imgcls.errors import UserError
from imgcls.machine.limits import LINE_BYTES

NONE = b"-"
BETWEEN = re.compile(r"\s*[;|]\s*")
SWITCHES = {"1": True, "0": False, "": False, "1.0": True, "0.0": False, "true": True, "false": False}


class TagLines(NamedTuple):
    """What a list says: paths, the numbers of each one's tags, and its number of lines in the file.

    ``names`` are those of a CSV file, in order of the number; ``None`` of a list of numbers.
    """

    paths: list[bytes]
    tags: list[list[int]]
    numbers: list[int]
    names: tuple[str, ...] | None


class _Wrong(Exception):
    """What is wrong with a line."""


def read_tag_list(
    list_file: Path,
    num_classes: int | None = None,
    class_names: tuple[str, ...] | None = None,
    on_wrong_line: Callable[[int, str], None] | None = None,
) -> TagLines:
    """Read a list or, if its name ends in ``.csv`` or ``.tsv``, a table.

    Args:
        num_classes: labels are checked against it.
        class_names: names that the tags of a CSV file are matched with; its own where they are left out.
        on_wrong_line: called with number and fault of each wrong line, which is then left out.

    Raises:
        UserError: the file cannot be read, is too large or empty, or lines of it are wrong (named by their numbers).
    """
    name = printable(list_file)
    content = read_list_bytes(list_file, name)
    if list_file.suffix.lower() in TABLES:
        names, lines = _table(content, name, class_names)
        form = "Each line is a path and its tags."
    else:
        names, lines = None, _lines(content.removeprefix(b"\xef\xbb\xbf"), num_classes)
        form = "Each line is 'path 0,3,7', the numbers of its classes with commas and no blanks, or 'path -' for none."
    read, faults = TagLines([], [], [], names), Faults(name, on_wrong_line)
    sets: dict[tuple[int, ...], list[int]] = {}  # most lines have tags that another one has, too
    for number, line in lines:
        if isinstance(line, _Wrong):
            faults.add(number, str(line))
        else:
            read.paths.append(line[0])
            read.tags.append(sets.setdefault(tuple(line[1]), line[1]))
            read.numbers.append(number)
    if faults.count and on_wrong_line is None:
        shown = bullet_list(faults.first, faults.count)
        raise UserError(f"{faults.count:,} lines of the list {name} are wrong:\n{shown}\n{form}")
    if not read.paths:
        raise UserError(f"The list {name} has no lines{' that are right' if faults.count else ''}. {form}")
    if names is None:
        return read
    return read._replace(names=tuple(names))


Line = tuple[bytes, list[int]] | _Wrong


def _lines(content: bytes, num_classes: int | None) -> Iterator[tuple[int, Line]]:
    for number, line in enumerate(io.BytesIO(content), start=1):
        line = line.strip()
        if not line:
            continue
        parts = line.rsplit(None, 1)
        if len(parts) < 2:
            yield number, _Wrong(f"no labels after the path: '{printable(line[:80])}'")
            continue
        path, labels = parts
        if len(labels) > LINE_BYTES:
            yield number, _Wrong(f"labels of {len(labels):,} characters: '{printable(line[:80])}'")
            continue
        digits = [] if labels == NONE else labels.split(b",")
        if not all(one.isdigit() and len(one) < 9 for one in digits):
            yield number, _Wrong(f"'{printable(labels[:40])}' are no whole numbers with commas between them")
            continue
        tags = list(dict.fromkeys(map(int, digits)))
        beyond = [tag for tag in tags if tag >= (num_classes or MOST_TAGS)]
        if beyond:
            known = f"0 to {num_classes - 1} ({num_classes} classes)" if num_classes else f"0 to {MOST_TAGS - 1}"
            yield number, _Wrong(f"the label {beyond[0]} is outside {known}: '{printable(line[:80])}'")
            continue
        yield number, (path, tags)


def _table(
    content: bytes, name: str, class_names: tuple[str, ...] | None
) -> tuple[list[str], Iterator[tuple[int, Line]]]:
    mark = delimiter_of(content, ",\t")  # between tags there may be semicolons
    first = next(csv_rows(content, name, mark), (0, []))[1]
    if len(first) < 2:
        mark = ";"

    def rows() -> Iterator[tuple[int, list[str]]]:
        """Those below the header."""
        return islice(csv_rows(content, name, mark), 1, None)

    _, header = next(csv_rows(content, name, mark), (0, []))
    if next(rows(), None) is None:
        raise UserError(f"The table {name} has no lines below its header. Its first line names the columns.")
    if len(header) < 2:
        raise UserError(f"The table {name} has one column. It needs a path and tags, with commas between the columns.")
    if len(header) == 2 and any(row[1].strip().lower() not in SWITCHES for _, row in rows() if len(row) == 2):
        names = list(class_names or _all_tags(rows(), name))
        columns = None
    else:
        names, columns = list(class_names or map(class_name, header[1:])), list(map(class_name, header[1:]))
    if len(names) > MOST_TAGS or len(set(columns or names)) < len(columns or names):
        raise UserError(_too_many(name))
    return names, _rows(rows(), columns, {tag: number for number, tag in enumerate(names)}, len(header))


def _all_tags(rows: Iterator[tuple[int, list[str]]], name: str) -> list[str]:
    found: set[str] = set()
    for _, row in rows:
        found.update(_names(row))
        if len(found) > MOST_TAGS:
            raise UserError(_too_many(name))
    return sorted(found)


def _too_many(name: str) -> str:
    return f"The table {name} has more than {MOST_TAGS:,} tags, or two columns of one name."


def _names(row: list[str]) -> list[str]:
    return [class_name(tag) for tag in BETWEEN.split(row[1].strip()) if tag] if len(row) == 2 else []


def _rows(
    found: Iterator[tuple[int, list[str]]], columns: list[str] | None, place: dict[str, int], width: int
) -> Iterator[tuple[int, Line]]:
    for number, row in found:
        if len(row) != width:
            yield number, _Wrong(f"{len(row)} columns, where the header has {width}")
            continue
        if columns is not None:
            cells = [cell.strip().lower() for cell in row[1:]]
            odd = next((cell for cell in cells if cell not in SWITCHES), None)
            if odd is not None:
                yield number, _Wrong(f"'{printable(odd[:40])}' where 1 or 0 should be")
                continue
            tags = [name for name, cell in zip(columns, cells, strict=True) if SWITCHES[cell]]
        else:
            tags = _names(row)
        unknown = next((tag for tag in tags if tag not in place), None)
        if unknown is not None:
            yield number, _Wrong(f"there is no class '{printable(unknown)}'")
            continue
        yield number, (os.fsencode(row[0].strip()), list(dict.fromkeys(place[tag] for tag in tags)))
