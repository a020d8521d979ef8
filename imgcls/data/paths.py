"""File names: bytes on disk, any script or none, and text that every terminal and file can take."""

import os
import unicodedata
from collections.abc import Sequence

from imgcls.errors import UserError, as_shown
from imgcls.machine.text import printable_text


def printable(path: str | bytes | os.PathLike) -> str:
    r"""The path as one line of text; bytes that are not UTF-8 and control characters appear as ``\xNN``."""
    return printable_text(os.fsencode(path).decode("utf-8", "backslashreplace"))


def as_path(value: object, name: str, wanted: str) -> str:
    """A path that was given in Python, with ``~`` for the home directory unless something is called so.

    Args:
        name, wanted: of the argument and what it can be, for the message.

    Raises:
        UserError: it is no text and no path, or empty.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise UserError(f"{name}={as_shown(value)}: give {wanted}.")
    return text if "\0" in text or os.path.lexists(text) else os.path.expanduser(text)


def advice_on_form(path: str | os.PathLike) -> str:
    """A sentence for the message about a missing file, if one is there whose name is only composed otherwise.

    An ``é`` is one character (NFC) or two (NFD, as macOS likes it), and looks the same.
    """
    found = "/" if os.path.isabs(path) else "."
    for part in filter(None, os.fspath(path).split(os.sep)):
        below = os.path.join(found, part)
        if not os.path.lexists(below):
            here = os.listdir(found) if os.path.isdir(found) else ()
            form = unicodedata.normalize("NFC", part)
            twins = [name for name in here if unicodedata.normalize("NFC", name) == form]
            if not twins:
                return ""
            below = os.path.join(found, twins[0])
        found = below
    if os.path.normpath(found) == os.path.normpath(path):
        return ""
    codes = ascii(os.path.normpath(found))
    return f" There is {codes}, which looks the same: its accents are written as other characters (NFC and NFD)."


def bullet_list(lines: Sequence[str], total: int) -> str:
    """Indented lines for a message, and how many of ``total`` are not shown."""
    shown = [f"  {line}" for line in lines]
    if total > len(lines):
        shown.append(f"  ... and {total - len(lines):,} more")
    return "\n".join(shown)
