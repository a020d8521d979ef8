"""Names for files and directories out of any text: safe on every system, and no two alike."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

from imgcls.machine.text import CONTROLS

FORBIDDEN = re.compile(rf'[/\\:*?"<>|{CONTROLS}\ud800-\udfff]')
"""Characters that a system forbids, that break a line or turn its direction, or that are no text."""

DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Windows takes these for devices."""

LONGEST = 200
"""Bytes of a made name; systems allow 255, and a number may have to be added."""

LONGEST_FILE = 255


def safe_name(text: str) -> str:
    """A name of one file or directory; only what a system does not take is changed.

    >>> safe_name("cat/dog?")
    'cat_dog_'
    """
    name = FORBIDDEN.sub("_", text).strip().rstrip(". ")
    if name.startswith("."):  # hidden, or a directory above
        name = f"_{name[1:]}"
    if DEVICES.fullmatch(name):
        name = f"{name}_"
    return _shortened(name, LONGEST).rstrip(". ") or "_"


def safe_names(texts: Iterable[str]) -> list[str]:
    """A name for each text, in order; those that a system might take for one another are numbered."""
    names: list[str] = []
    taken: set[str] = set()
    for text in texts:
        name, number = safe_name(text), 1
        while _compared(numbered(name, number)) in taken:
            number += 1
        names.append(numbered(name, number))
        taken.add(_compared(names[-1]))
    return names


def numbered(name: str, number: int) -> str:
    """``name (2).jpg`` for the second ``name.jpg``; the first keeps its name."""
    if number == 1:
        return name
    suffix = PurePath(name).suffix
    end = f" ({number}){suffix}"
    return _shortened(name.removesuffix(suffix), LONGEST_FILE - len(_bytes(end))) + end


def _compared(name: str) -> str:
    """Equal for names that differ in case or in Unicode's composition alone: one file on macOS and Windows."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _shortened(name: str, most: int) -> str:
    """At most so many bytes, no character cut."""
    while len(_bytes(name)) > most:
        name = name[:-1]
    return name


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
