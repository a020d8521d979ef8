"""JSON lines that are there as soon as they are written, and that a later program can go on with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        with self.path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    def write(self, record: Record) -> None:
        self._file.write(json_text(record) + "\n")

    def keep(self, count: int) -> None:
        """Remove all records after the first ``count``."""
        with self.path.open("rb") as lines:
            length = sum(len(line) for line, _ in zip(lines, range(count), strict=False))
        _cut(self.path, length)

    def close(self) -> None:
        self._file.close()


def _whole_lines(path: Path) -> int:
    """Bytes up to the first line that is not whole: cut off, or zeros after a power failure."""
    length = 0
    with path.open("rb") as lines:
        for line in lines:
            if not (line.startswith(b"{") and line.endswith(b"}\n")):
                break
            length += len(line)
    return length


def _cut(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length)
