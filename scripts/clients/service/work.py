"""How much work a decoder would have with an image file, from its headers, before a decoder sees it.

A limit of pixels bounds memory, not time: a JPEG may draw its pixels thousands of times over, a PNG or a
GIF hide one image behind a million empty parts, two values of a TIFF be the same ten megabytes. The
limits are far beyond what cameras and programs write. Needs the standard library alone:
``scripts/clients/service/work.py`` is a copy.
"""

import os
import re
import struct
from collections.abc import Iterator

MAX_SCANS = 500
"""Times that a JPEG may go over its pixels; ten is usual."""

FEW_SCANS = 20
MAX_SCANNED_PIXELS = 10_000_000_000
"""Scans times pixels of a JPEG with more than ``FEW_SCANS``."""

MAX_PARTS = 10_000
"""Segments, chunks, blocks or entries that a decoder would go through one by one."""

BYTES_A_PART = 1024
"""A PNG of many bytes may have a chunk for so many beside those."""

MAX_JUNK = 1 << 16
"""Bytes between the parts that a decoder would skip one by one, and of comments in a header."""

MAX_EXTENSIONS = 1 << 20
"""Bytes of a GIF's comments and the like."""

MAX_STRIPS = 100_000
"""Strips or tiles of a TIFF, whose decoder starts anew for each."""

MAX_TILES = 10_000
MAX_PACKETS = 2_000_000
"""Of a JPEG 2000: tiles times layers times resolutions times colours times precincts."""

MAX_ITEMS = 1_000
"""Of an AVIF: images, tiles of a grid, and what is said about them."""

SLOW_PIXELS = 10_000_000
"""Pixels of the kinds that Pillow decodes in Python: run lengths of BMP, and PPM as text or of unusual depth."""

EXIF_AS_USUAL = 1 << 16
"""Bytes of an EXIF block, which fits into one segment of a JPEG. A larger one is looked through."""

EMBEDDED = (0x8769, 0x8825, 0xA005)
"""Tags of a TIFF that lead to a directory of their own, which Pillow reads too: EXIF, GPS, interoperability."""

MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
"""In a JPEG, from a scan on; what is 00 or D0 to D7 after FF belongs to a scan."""

SOI, EOI, SOS, APP1, DNL = 0xD8, 0xD9, 0xDA, 0xE1, 0xDC
TABLES = (0xC4, 0xC8, 0xCC)
PNG = b"\x89PNG\r\n\x1a\n"
GIF = (b"GIF87a", b"GIF89a")
TIFF = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")
CLASSIC, BIG = ("H", "HHII", "4s"), ("Q", "HHQQ", "8s")
"""Of a TIFF: the number of entries, an entry, and a value that is in it."""

VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of a TIFF's entry, by its type."""


class TooMuchWork(ValueError):
    """A file that would keep its decoder for too long; the message says what it has too much of."""


class File:
    """Reads anywhere in a file's content: its bytes, or an open file's descriptor."""

    def __init__(self, source: bytes | int):
        self.size = len(source) if isinstance(source, bytes) else os.fstat(source).st_size
        self._source = source

    def read(self, position: int, count: int) -> bytes:
        """Up to so many bytes; fewer at the end, none beyond it."""
        if isinstance(self._source, bytes):
            return self._source[position : position + count]
        return os.pread(self._source, count, position) if position < self.size else b""


def check_work(source: bytes | int) -> int:
    """Look through the headers of an image file, the content or the descriptor of an open file.

    A file that is damaged or of no kind that is known passes: its decoder will say so.

    Returns:
        Times that its decoder goes over its pixels.

    Raises:
        TooMuchWork: its decoding would take far longer than its pixels explain.
    """
    file = File(source)
    head = file.read(0, 4096)
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(file, head)
    try:
        if head.startswith(PNG):
            _png(file, 0)
        elif head.startswith(GIF):
            _gif(file, head)
        elif head.startswith(TIFF):
            _tiff(file)
        elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            _webp(file)
        elif head[4:8] == b"ftyp":
            _avif(file)
        elif head.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")):
            _jpeg2000(file, head)
        elif head.startswith(b"BM"):
            _bitmap(head, 14)
        elif head[:1] == b"P" and head[1:2] in b"0123456fy":
            _ppm(file)
        elif head.startswith(b"\0\0\1\0"):
            _icon(file, head)
        else:
            _bitmap(head, 0)
    except (struct.error, IndexError):
        pass  # it ends too early
    return 1


def check_exif(block: bytes) -> None:
    """Look through an EXIF block, of whatever file.

    Raises:
        TooMuchWork: its values overlap, so that together they take many times its size.
    """
    if len(block) > EXIF_AS_USUAL:
        try:
            _tiff(File(re.sub(rb"^(Exif\0\0){1,2}", b"", block[:12]) + block[12:]))
        except (struct.error, IndexError):
            return


def _require(number: int, limit: int, what: str) -> None:
    if number > limit:
        raise TooMuchWork(f"it has {number:,} {what}, more than the limit of {limit:,}")


def _jpeg(file: File, head: bytes) -> int:
    """Segments up to the first scan; all scans, where there can be more than one: returns their number."""
    start, position = 0, 2
    exif, parts, junk, pixels, colours, is_progressive = [], 0, 0, 0, 0, False
    while True:
        if position + 20 > start + len(head) and start + len(head) < file.size:
            head, start = file.read(position, 4096), position
        at = position - start
        if at + 4 > len(head):
            return 1
        if head[at] != 0xFF or head[at + 1] in (0, 0xFF):
            junk, position = junk + 1, position + 1
            if junk > MAX_JUNK:
                raise TooMuchWork(f"it has more than {MAX_JUNK:,} bytes of nothing between its parts")
            continue
        marker = head[at + 1]
        if marker < 0xC0 or 0xD0 <= marker <= EOI:
            position += 2
            continue
        length = head[at + 2] << 8 | head[at + 3]
        parts += 1
        if parts > MAX_PARTS:
            _require(parts, MAX_PARTS, "segments")
        if marker == SOS:
            if len(exif) > 1:  # which Pillow puts together
                check_exif(b"".join(file.read(*segment) for segment in exif))
            if is_progressive or head[at + 4 : at + 5] != bytes([colours]):
                return _scans(file, position, pixels, parts)
            return 1
        if 0xC0 <= marker <= 0xCF and marker not in TABLES:
            height, width, colours = struct.unpack_from(">HHB", head[at + 5 : at + 10].ljust(5, b"\0"))
            pixels, is_progressive = max(1, width) * max(1, height), is_progressive or marker & 3 == 2
        elif marker == APP1 and head[at + 4 : at + 8] == b"Exif":
            exif.append((position + (10 if exif else 4), length))
        position += 2 + max(2, length)


def _scans(file: File, position: int, pixels: int, parts: int) -> int:
    """From the first scan on. Only one scan at the most is read over where none is announced."""
    content = file.read(position, file.size)
    allowed = min(MAX_SCANS, max(FEW_SCANS, MAX_SCANNED_PIXELS // max(1, pixels)))
    scans = at = 0
    while (found := MARKER.search(content, at)) and (marker := content[found.start() + 1]) != EOI:
        at, length = found.end(), int.from_bytes(content[found.end() : found.end() + 2], "big")
        if marker != SOI:
            at += max(2, length)
            scans += marker == SOS
            parts += 1
            if parts > MAX_PARTS:
                _require(parts, MAX_PARTS, "segments")
    _require(scans, allowed, "scans over its pixels" if allowed == MAX_SCANS else f"scans over {pixels:,} pixels")
    return max(1, scans)


def _png(file: File, position: int) -> None:
    allowed = MAX_PARTS + file.size // BYTES_A_PART
    position += len(PNG)
    for parts in range(1, allowed + 2):
        length, kind = struct.unpack(">I4s", file.read(position, 8))
        if kind == b"IEND":
            return
        position += 12 + length
        _require(parts, allowed, "chunks")


def _gif(file: File, head: bytes) -> None:
    """Up to the first image; those after it are never looked at."""
    position = 13 + (3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0)
    taken = parts = 0
    while (introducer := file.read(position, 2)) and introducer[0] not in b",;":
        if introducer[0] != 0x21:
            position, parts = position + 1, parts + 1
            _require(parts, MAX_PARTS, "bytes of nothing before its image")
            continue
        position += 2
        while length := file.read(position, 1)[0]:
            position, taken, parts = position + 1 + length, taken + length, parts + 1
            _require(taken, MAX_EXTENSIONS, "bytes of comments before its image")
        position, parts = position + 1, parts + 1
        _require(parts, MAX_PARTS, "blocks before its image")


def _tiff(file: File) -> None:
    """The first directory and those inside it: their values cannot be much more than the file, unless they overlap."""
    head = file.read(0, 16)
    order, is_big = "<" if head[:1] == b"I" else ">", b"+" in head[:4]
    counted, entry, inline = (struct.Struct(order + kind) for kind in (BIG if is_big else CLASSIC))
    directories = list(struct.unpack_from(order + "Q", head, 8) if is_big else struct.unpack_from(order + "I", head, 4))
    left = 4 * file.size + EXIF_AS_USUAL
    for number, position in enumerate(directories):
        _require(number, 8, "directories inside its first one")
        count = counted.unpack(file.read(position, counted.size))[0]
        _require(count, MAX_PARTS, "entries in a directory")
        entries = file.read(position + counted.size, count * entry.size)
        for tag, kind, values, at in entry.iter_unpack(entries[: len(entries) // entry.size * entry.size]):
            taken = values * VALUE_BYTES.get(kind, 0)
            if taken > inline.size:
                left -= max(0, min(taken, file.size - at))
            if left < 0:
                raise TooMuchWork("the values of its directories overlap: together they are larger than all of it")
            if tag in (273, 324):
                _require(values, MAX_STRIPS, "strips or tiles")
            if tag in EMBEDDED:
                directories.append(at)


def _webp(file: File) -> None:
    position = 12
    for parts in range(1, MAX_PARTS + 2):
        length = struct.unpack("<I", file.read(position + 4, 4))[0]
        position += 8 + length + length % 2
        _require(parts, MAX_PARTS, "frames and other chunks")


def _boxes(file: File, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what is in each box of an ISO file."""
    for parts in range(1, MAX_PARTS + 2):
        if position + 8 > end:
            return
        length, kind = struct.unpack(">I4s", file.read(position, 8))
        inside = position + 8
        if length == 1:
            length, inside = struct.unpack(">Q", file.read(inside, 8))[0], inside + 8
        position = end if length == 0 else position + max(8, length)
        yield kind, inside, min(position, end)
        _require(parts, MAX_PARTS, "boxes")


def _avif(file: File) -> None:
    for kind, start, end in _boxes(file, 0, file.size):
        if kind != b"meta":
            continue
        for inner, at, _ in _boxes(file, start + 4, end):
            if inner == b"iinf":
                version, few, many = struct.unpack(">B3xHH", file.read(at, 8).ljust(8, b"\0"))
                _require(few << 16 | many if version else few, MAX_ITEMS, "items")


def _jpeg2000(file: File, head: bytes) -> None:
    start = 0
    if head[:1] == b"\0":
        start = next((at for kind, at, _ in _boxes(file, 0, file.size) if kind == b"jp2c"), file.size)
    head = file.read(start, 1 << 16)
    width, height, left, top, tile_width, tile_height, tile_left, tile_top, colours = struct.unpack_from(
        ">8IH", head, 8
    )
    across, down = (
        -(-max(0, end - begin) // max(1, side))
        for end, begin, side in ((width, tile_left, tile_width), (height, tile_top, tile_height))
    )
    _require(across * down, MAX_TILES, "tiles")
    position = 4 + struct.unpack_from(">H", head, 4)[0]
    while head[position] == 0xFF and head[position + 1] not in (0x52, 0x90, 0x93):
        position += 2 + max(2, struct.unpack_from(">H", head, position + 2)[0])
    if head[position : position + 2] != b"\xff\x52":
        return
    style, layers, levels = head[position + 4], struct.unpack_from(">H", head, position + 6)[0], head[position + 9]
    packets = 0
    for resolution in range(min(levels, 32) + 1):
        exponents = head[position + 14 + resolution] if style & 1 else 0xFF
        shrunk = levels - resolution
        sides = ((min(width - left, tile_width), exponents & 15), (min(height - top, tile_height), exponents >> 4))
        columns, rows = (((max(1, side) >> shrunk) >> exponent) + 1 for side, exponent in sides)
        packets += across * down * max(1, layers) * colours * columns * rows
    _require(packets, MAX_PACKETS, "packets")


def _bitmap(head: bytes, start: int) -> None:
    """BMP, or its part without a file's head."""
    size, width, height, _, _, compression = struct.unpack_from("<IiiHHI", head, start)
    if size in (40, 52, 56, 64, 108, 124) and compression in (1, 2):
        _require(abs(width * height), SLOW_PIXELS, "pixels in run lengths")


def _ppm(file: File) -> None:
    head = file.read(0, MAX_JUNK)
    words = re.sub(rb"#[^\r\n]*", b" ", head[2:]).split(maxsplit=3)
    if len(words) < 3 and len(head) == MAX_JUNK:
        raise TooMuchWork(f"it has a header of more than {MAX_JUNK:,} bytes")
    if len(words) < 2 or not (words[0].isdigit() and words[1].isdigit()) or max(map(len, words[:2])) > 9:
        return
    is_text, has_depth = head[1:2] in b"123", head[1:2] in b"2356"
    if is_text or (has_depth and words[2:3] not in ([b"255"], [b"65535"])):
        _require(int(words[0]) * int(words[1]), SLOW_PIXELS, "pixels as text or of unusual depth")
        if is_text:
            _require(file.size, 8 * SLOW_PIXELS, "bytes of text")


def _icon(file: File, head: bytes) -> None:
    """Pictures of several sizes, which may be PNG files."""
    count = struct.unpack_from("<H", head, 4)[0]
    _require(count, 200, "pictures")
    for position in {struct.unpack_from("<I", head, 6 + 16 * number + 12)[0] for number in range(count)}:
        if file.read(position, 8) == PNG:
            _png(file, position)
        else:
            _bitmap(file.read(position, 64).ljust(64, b"\0"), 0)
