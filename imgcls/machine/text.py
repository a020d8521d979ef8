"""Text that no name in it can break: not a file of lines, not JSON, not a terminal."""

import json
import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imgcls.machine.files import atomic_write

CONTROLS = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
"""What ends a line, moves a cursor, colours a terminal or turns the direction of writing round."""

CONTROL = re.compile(f"[{CONTROLS}]")
CONTROL_IN_LINES = re.compile(f"(?!\n)[{CONTROLS}]")
SURROGATE = re.compile("[\ud800-\udfff]")
UNPRINTABLE = re.compile(f"[{CONTROLS}\ud800-\udfff]")
IN_JSON = re.compile(f"(?!\n)[{CONTROLS}\ud800-\udfff]")


def escape_controls(text: str, lines: bool = False) -> str:
    r"""The text in one line, control characters written as ``\n``, ``\x1b`` or ``\u2028``.

    Args:
        lines: leave line breaks as they are.
    """
    return (CONTROL_IN_LINES if lines else CONTROL).sub(_escaped, text)


def printable_text(text: str) -> str:
    r"""The text in one line that every terminal and UTF-8 file can take."""
    return whole_characters(escape_controls(text))


def whole_characters(text: str) -> str:
    r"""The text with ``\xNN`` for what is half a character: a byte of a file name that is not UTF-8."""
    return SURROGATE.sub(_as_byte, text)


def shell_line(words: Iterable[str]) -> str:
    r"""A command that can be pasted into a shell; what is no character on a terminal stands as ``$'\xfe'``."""
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    if printable_text(word) == word:
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{UNPRINTABLE.sub(_as_bytes, escaped)}'"


def json_text(value: Any, **options: Any) -> str:
    """JSON with every script readable as it is; what could break a line or is no character stays escaped."""
    return IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False, **options))


def write_json(path: Path, value: Any) -> None:
    """A small JSON file, for people, too; whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(json_text(value, indent=1) + "\n", encoding="utf-8")


def _escaped(found: re.Match) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _as_byte(found: re.Match) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else _escaped(found)


def _as_bytes(found: re.Match) -> str:
    return "".join(f"\\x{one:02x}" for one in os.fsencode(found[0]))
