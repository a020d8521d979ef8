"""File names: bytes on disk, any script or none, and text that every terminal and file can take."""

import os
from collections.abc import Sequence


def printable(path: str | bytes | os.PathLike) -> str:
    r"""The path as text for messages; bytes that are not UTF-8 appear as ``\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def bullet_list(lines: Sequence[str], total: int) -> str:
    """Indented lines for a message, and how many of ``total`` are not shown."""
    shown = [f"  {line}" for line in lines]
    if total > len(lines):
        shown.append(f"  ... and {total - len(lines):,} more")
    return "\n".join(shown)
