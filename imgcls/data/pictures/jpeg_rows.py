"""The upper part of a JPEG: a header that promises fewer rows, so that the decoder stops after them.

Two thirds of a large photo's decoding is reading its entropy code, which has to be done from the
first row down, whatever resolution is wanted. What lies below a crop need not be read.
"""

import io
import os
from typing import BinaryIO

FRAMES = (0xC0, 0xC1)
"""Markers of a baseline and of an extended sequential frame: a scan has its rows one after the other."""
START_OF_SCAN, FILLING = 0xDA, 0xFF
END_OF_IMAGE = b"\xff\xd9"
BLOCK = 16
"""Rows are coded 8 or 16 at a time."""
CONTEXT = 16
"""Rows below those that are wanted: a shrunk image's last row needs 8, and colours are interpolated from 2."""


def rows_to_decode(bottom: float) -> int:
    """Rows from the top to decode, so that those above ``bottom`` are as in the whole image."""
    return -(-(int(bottom) + CONTEXT) // BLOCK) * BLOCK


def with_rows(file: BinaryIO, rows: int) -> "WithRows | None":
    """The file with ``rows`` in place of its height; ``None`` unless it is a whole sequential JPEG."""
    position = _position_in_whole(file)
    return None if position is None else WithRows(file, position, rows)


def is_whole_and_sequential(file: BinaryIO) -> bool:
    """Whether a JPEG is both: its rows come one after the other, and it is not cut off."""
    return _position_in_whole(file) is not None


def _position_in_whole(file: BinaryIO) -> int | None:
    file.seek(-len(END_OF_IMAGE), os.SEEK_END)
    if file.read() != END_OF_IMAGE:  # cut off perhaps, which only the decoding of all rows would show
        return None
    return _height_position(file)


def _height_position(file: BinaryIO) -> int | None:
    """Where a sequential frame's header has the height, two bytes."""
    position = 2
    while True:
        file.seek(position)
        segment = file.read(4)
        if len(segment) < 4 or segment[0] != 0xFF:
            return None
        if segment[1] in FRAMES:
            return position + 5
        if segment[1] in (START_OF_SCAN, FILLING):
            return None
        position += 2 + int.from_bytes(segment[2:], "big")


class WithRows(io.BufferedIOBase):
    """A JPEG that says it has ``rows``. Nothing is copied, and what the decoder does not ask for is not read.

    Args:
        position: of the height in the file.
    """

    def __init__(self, file: BinaryIO, position: int, rows: int):
        self.file = file
        self.position = position
        self.height = rows.to_bytes(2, "big")
        self.file.seek(0)

    def read(self, size: int | None = -1) -> bytes:
        start = self.file.tell()
        content = self.file.read(size)
        first, last = self.position - start, self.position + 1 - start
        if last < 0 or first >= len(content):
            return content
        changed = bytearray(content)
        for index, value in zip((first, last), self.height, strict=True):
            if 0 <= index < len(changed):
                changed[index] = value
        return bytes(changed)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()
