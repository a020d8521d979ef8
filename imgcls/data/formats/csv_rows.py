"""Rows of a CSV file one at a time, with commas, semicolons or tabs; no row is longer than a person makes one."""

import csv
import io
from collections.abc import Callable, Iterator

from imgcls.errors import UserError
from imgcls.machine.limits import LINE_BYTES

TABLES = (".csv", ".tsv")
"""Endings of lists that are tables."""

SHOWN = 5


def delimiter_of(content: bytes, marks: str = ",\t;") -> str:
    """What stands between the columns of a table: the mark that its first line has most of."""
    first = content[:LINE_BYTES].partition(b"\n")[0]
    return max(marks, key=lambda mark: first.count(mark.encode()))


def csv_rows(content: bytes, name: str, delimiter: str, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, with the number of the line that each ends in.

    Args:
        content: UTF-8, with any line ends.
        name: of the file, for messages.
        errors: ``replace`` for bytes that are not UTF-8.

    Raises:
        UserError: it is not UTF-8, no CSV file, or has a row of more than ``LINE_BYTES`` characters.
    """
    lines = _Lines(content, errors)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            lines.taken = 0
            if any(map(str.strip, row)):
                yield reader.line_num, row
    except csv.Error as error:
        at = max(reader.line_num, lines.number)
        raise UserError(f"The table {name} is no CSV file, at line {at}: {error}.") from error
    except UnicodeDecodeError:
        raise UserError(f"The table {name} is not UTF-8 (byte {_first_wrong(content):,}). Save it as UTF-8.") from None


class Faults:
    """Wrong lines of a list: reported one by one, or counted, and refused together.

    Args:
        name: of the list, for the message.
        report: called with number and fault of each.
    """

    def __init__(self, name: str, report: Callable[[int, str], None] | None):
        self.name, self.report = name, report
        self.count = 0
        self.first: list[str] = []

    def add(self, number: int, fault: str) -> None:
        self.count += 1
        if self.report is not None:
            self.report(number, fault)
        elif len(self.first) < SHOWN:
            self.first.append(f"line {number}: {fault}")


class _Lines:
    """Lines as the file has them, decoded as they are wanted: how many so far, and characters of the row so far."""

    def __init__(self, content: bytes, errors: str):
        self._file = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors=errors, newline="")
        self.number = self.taken = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.taken += len(line)
        if self.taken > LINE_BYTES:
            raise csv.Error(f"a row of more than {LINE_BYTES:,} characters")
        return line


def _first_wrong(content: bytes) -> int:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0
