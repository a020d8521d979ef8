"""Numeric arrays of an ``.npz`` file, none of them larger than what is there.

``numpy.load`` believes the sizes that the archive and each header tell, and reads headers as Python expressions.
Here a member's header must have the one form that numpy writes and tell as many bytes as the member has, members
do not overlap, and ``EXPANSION`` and ``COPIES_BYTES`` bound what decompresses from the file.
"""

import math
import os
import re
import struct
import zipfile
from typing import BinaryIO

import numpy as np

from imgcls.machine.limits import (
    COPIES_BYTES,
    DIMENSIONS,
    DIRECTORY_BYTES,
    EXPANSION,
    HEADER_BYTES,
    NAME_BYTES,
    TENSORS,
)

MAGIC = b"\x93NUMPY"
HEADER = re.compile(
    rb"\{'descr': '([<>|=](?:[biufc]\d{1,2}|U\d{1,4}))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}, ?)*(?:\d{1,12})?)\),? ?\} *\n?"
)
END, END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
LOCATOR_BYTES = 20
CHUNK = 1 << 20


def read_arrays(file: BinaryIO, texts: bool = False) -> dict[str, np.ndarray]:
    """Every array by name; nothing where the archive holds something other than arrays.

    Args:
        texts: arrays of texts are allowed, too.

    Raises:
        ValueError, zipfile.BadZipFile, zlib.error, ...: it is no archive of numeric arrays, is damaged,
            or takes more than the bounds allow.
    """
    size = os.fstat(file.fileno()).st_size
    _require_small_table(file, size)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if not all(entry.filename.endswith(".npy") for entry in entries):
            return {}
        if len(entries) > TENSORS or any(len(entry.filename) > NAME_BYTES for entry in entries):
            raise ValueError("too many arrays, or names too long")
        if sum(entry.compress_size for entry in entries) > size:
            raise ValueError("its members overlap")
        expanded = sum(entry.file_size for entry in entries)
        if expanded > EXPANSION * size + COPIES_BYTES:
            raise ValueError(f"{size:,} bytes that would become {expanded:,}")
        return {entry.filename.removesuffix(".npy"): _read_array(archive, entry, texts) for entry in entries}


def _require_small_table(file: BinaryIO, size: int) -> None:
    """Refuse a table of contents that ``zipfile`` would spend gigabytes on; what it reads is what is looked at."""
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


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, texts: bool) -> np.ndarray:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{entry.filename} is compressed in another way than numpy does")
    with archive.open(entry) as member:
        start = member.read(len(MAGIC) + 2)
        width = 2 if start[6:7] == b"\1" else 4
        length = int.from_bytes(member.read(width), "little")
        if not start.startswith(MAGIC) or length > HEADER_BYTES:
            raise ValueError(f"{entry.filename} is no array")
        dtype, shape, order = _parse(member.read(length), entry.filename)
        if dtype.kind == "U" and not texts:
            raise ValueError(f"{entry.filename} is not numeric")
        if math.prod(shape) * dtype.itemsize != entry.file_size - len(start) - width - length:
            raise ValueError(f"{entry.filename} has not the bytes of an array {dtype} of shape {shape}")
        values = np.empty(math.prod(shape), dtype)
        room = memoryview(values.view(np.uint8))
        position = 0
        while position < len(room):
            got = member.readinto(room[position : position + CHUNK])
            if not got:
                raise ValueError(f"{entry.filename} ends early")
            position += got
        if member.read(1):  # and the check sum is compared
            raise ValueError(f"{entry.filename} goes on")
    return values.reshape(shape, order=order)


def _parse(header: bytes, name: str) -> tuple[np.dtype, tuple[int, ...], str]:
    match = HEADER.fullmatch(header)
    if match is None:
        raise ValueError(f"{name} is not numeric, or not as numpy writes it")
    shape = tuple(int(digits) for digits in re.findall(rb"\d+", match[3]))
    if len(shape) > DIMENSIONS:
        raise ValueError(f"{name} has {len(shape)} dimensions")
    return np.dtype(match[1].decode()), shape, "F" if match[2] == b"True" else "C"
