"""Tables as CSV for people who open them in a spreadsheet."""

import csv
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from imgcls.machine.files import atomic_write
from imgcls.machine.text import printable_text

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""A spreadsheet would compute a text that begins like this, and what it computes may start a program."""


def write_spreadsheet(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table whole or not at all.

    UTF-8 with the mark at its start by which Excel knows it, in China and everywhere. A text that a
    spreadsheet would take for a formula has an apostrophe before it; numbers are as they are. Line breaks,
    other control characters and the bytes of a file name that are not UTF-8 are written as escapes.
    """
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        for row in chain([header], rows):
            writer.writerow([_cell(value) for value in row])


def harmless(value: object) -> object:
    """A cell that no spreadsheet computes: a text that it would take for a formula has an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) and not _is_number(value) else value


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable_text(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
