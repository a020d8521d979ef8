"""JSON lines that are there as soon as they are written, and that a later program can go on with."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from imgcls.errors import UserError
from imgcls.machine.limits import LINE_BYTES
from imgcls.machine.reading import open_regular
from imgcls.machine.text import json_text

Record = dict[str, Any]


class LineFile:
    """A file of records, one a line; a line that an interruption cut off is removed.

    Args:
        resume: keep the records that are there.
    """

    def __init__(self, path: Path, resume: bool = False):
        self.path = path
        if resume and path.exists():
            _cut(path, _whole_lines(path))
        self._file = path.open("a" if resume else "w", encoding="utf-8", buffering=1)

    def __iter__(self) -> Iterator[Record]:
        with open_regular(self.path) as file:
            for number, line in enumerate(_lines(file), start=1):
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise UserError(
                        f"{self.path}, line {number}, is damaged. Predict again under another run.name."
                    ) from error

    def write(self, record: Record) -> None:
        self._file.write(json_text(record) + "\n")

    def keep(self, count: int) -> None:
        """Remove all records after the first ``count``."""
        with self.path.open("rb") as file:
            length = sum(len(line) for line, _ in zip(_lines(file), range(count), strict=False))
        _cut(self.path, length)

    def close(self) -> None:
        self._file.close()


def _whole_lines(path: Path) -> int:
    """Bytes up to the first line that is not whole: cut off, or zeros after a power failure."""
    length = 0
    with open_regular(path) as file:
        for line in _lines(file):
            if not (line.startswith(b"{") and line.endswith(b"}\n")):
                break
            length += len(line)
    return length


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Without end of line where one has more than ``LINE_BYTES``: it is no record of ours."""
    return iter(partial(file.readline, LINE_BYTES), b"")


def _cut(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length)
