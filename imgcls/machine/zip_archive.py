"""Zip files of tensors, opened within bounds: a small table of contents, members that do not overlap."""

import os
import struct
import zipfile
from collections.abc import Sequence
from typing import BinaryIO

from imgcls.machine.limits import COPIES_BYTES, DIRECTORY_BYTES, EXPANSION, NAME_BYTES, TENSORS

END, END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
LOCATOR_BYTES = 20
CHUNK = 1 << 20
ERRORS = (OSError, ValueError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile)
"""What damage of an archive, or one beyond its bounds, raises."""


def open_archive(file: BinaryIO) -> zipfile.ZipFile:
    """The archive, unless its table of contents is one that ``zipfile`` would spend gigabytes on.

    Raises:
        ValueError, zipfile.BadZipFile: it is none, or larger than the bounds allow.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - END.size - LOCATOR_BYTES - END64.size))
    tail = file.read()
    end = tail[-END.size :]
    if len(end) < END.size or not end.startswith(b"PK\5\6") or not end.endswith(bytes(2)):
        raise ValueError("its table of contents is not at its end")
    table = END.unpack(end)[5]
    if tail[-END.size - LOCATOR_BYTES :].startswith(b"PK\6\7"):
        table = END64.unpack(tail[: END64.size])[8] if len(tail) == END.size + LOCATOR_BYTES + END64.size else size
    if table > DIRECTORY_BYTES:
        raise ValueError(f"a table of contents of {table:,} bytes")
    file.seek(0)
    return zipfile.ZipFile(file)


def require_bounded(entries: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Refuse members that are too many, overlap, or become more than a file of ``size`` bytes may."""
    if len(entries) > TENSORS or any(len(entry.filename) > NAME_BYTES for entry in entries):
        raise ValueError("too many arrays, or names too long")
    if sum(entry.compress_size for entry in entries) > size:
        raise ValueError("its members overlap")
    expanded = sum(entry.file_size for entry in entries)
    if expanded > EXPANSION * size + COPIES_BYTES:
        raise ValueError(f"{size:,} bytes that would become {expanded:,}")


def read_into(member: BinaryIO, room: memoryview, name: str) -> None:
    """Fill ``room`` with all that the member has, whose check sum is compared.

    Raises:
        ValueError, zipfile.BadZipFile: it has another length, or is damaged.
    """
    position = 0
    while position < len(room):
        got = member.readinto(room[position : position + CHUNK])
        if not got:
            raise ValueError(f"{name} ends early")
        position += got
    if member.read(1):
        raise ValueError(f"{name} goes on")
