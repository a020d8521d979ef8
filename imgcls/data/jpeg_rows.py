"""The upper part of a JPEG: a header that promises fewer rows, so that the decoder stops after them.

Two thirds of a large photo's decoding is reading its entropy code, which has to be done from the
first row down, whatever resolution is wanted. What lies below a crop need not be read.
"""

FRAMES = (0xC0, 0xC1)
"""Markers of a baseline and of an extended sequential frame: a scan has its rows one after the other."""
START_OF_SCAN, FILLING = 0xDA, 0xFF
END_OF_IMAGE = b"\xff\xd9"
BLOCK = 16
"""Rows are coded 8 or 16 at a time."""
CONTEXT = 64
"""Rows below those that are wanted which colours are interpolated from, at any reduction."""


def rows_to_decode(bottom: float) -> int:
    """Rows from the top to decode, so that those above ``bottom`` are as in the whole image."""
    return -(-(int(bottom) + CONTEXT) // BLOCK) * BLOCK


def with_rows(content: bytes, rows: int) -> bytearray | None:
    """The file with ``rows`` in place of its height; ``None`` unless it is a whole sequential JPEG."""
    if not content.endswith(END_OF_IMAGE):  # cut off perhaps, which only the decoding of all rows would show
        return None
    position = 2
    while position + 9 < len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker in FRAMES:
            shorter = bytearray(content)
            shorter[position + 5 : position + 7] = rows.to_bytes(2, "big")
            return shorter
        if marker in (START_OF_SCAN, FILLING):
            return None
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return None
