"""Numeric arrays of an ``.npz`` file, none of them larger than what is there.

``numpy.load`` believes the sizes that the archive and each header tell, and reads headers as Python expressions.
Here a member's header must have the one form that numpy writes and tell as many bytes as the member has, members
do not overlap, and ``EXPANSION`` and ``COPIES_BYTES`` bound what decompresses from the file.
"""

import math
import os
import re
import zipfile
from typing import BinaryIO

import numpy as np

from imgcls.machine.limits import DIMENSIONS, HEADER_BYTES
from imgcls.machine.zip_archive import open_archive, read_into, require_bounded

MAGIC = b"\x93NUMPY"
HEADER = re.compile(
    rb"\{'descr': '([<>|=](?:[biufc]\d{1,2}|U\d{1,4}))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}, ?)*(?:\d{1,12})?)\),? ?\} *\n?"
)


def read_arrays(file: BinaryIO, texts: bool = False) -> dict[str, np.ndarray]:
    """Every array by name; nothing where the archive holds something other than arrays.

    Args:
        texts: arrays of texts are allowed, too.

    Raises:
        ValueError, zipfile.BadZipFile, zlib.error, ...: it is no archive of numeric arrays, is damaged,
            or takes more than the bounds allow.
    """
    size = os.fstat(file.fileno()).st_size
    with open_archive(file) as archive:
        entries = archive.infolist()
        if not all(entry.filename.endswith(".npy") for entry in entries):
            return {}
        require_bounded(entries, size)
        return {entry.filename.removesuffix(".npy"): _read_array(archive, entry, texts) for entry in entries}


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
        read_into(member, memoryview(values.view(np.uint8)), entry.filename)
    return values.reshape(shape, order=order)


def _parse(header: bytes, name: str) -> tuple[np.dtype, tuple[int, ...], str]:
    match = HEADER.fullmatch(header)
    if match is None:
        raise ValueError(f"{name} is not numeric, or not as numpy writes it")
    shape = tuple(int(digits) for digits in re.findall(rb"\d+", match[3]))
    if len(shape) > DIMENSIONS:
        raise ValueError(f"{name} has {len(shape)} dimensions")
    return np.dtype(match[1].decode()), shape, "F" if match[2] == b"True" else "C"
