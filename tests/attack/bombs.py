"""Image files that cost their decoder far more than their pixels or their bytes explain."""

import io
import struct
import zlib

from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"


def saved(kind: str, size: tuple[int, int] = (64, 64), mode: str = "L", **options) -> bytes:
    """An ordinary grey picture of this kind."""
    Image.new(mode, size, 77 if mode == "L" else (77, 99, 111)).save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def scans(number: int, size: tuple[int, int] = (64, 64), between: bytes = b"") -> bytes:
    """A progressive JPEG of so many scans."""
    content = saved("JPEG", size, progressive=True)
    first = content.index(b"\xff\xda")
    last = content[content.rindex(b"\xff\xda") : content.rindex(b"\xff\xd9")]
    more = number - content.count(b"\xff\xda", first)
    return content[: content.rindex(b"\xff\xd9")] + (between + last) * more + b"\xff\xd9"


def sequential_scans(number: int, size: tuple[int, int] = (64, 64)) -> bytes:
    """A JPEG that is not progressive, whose three colours come in scans of their own, again and again."""
    content = saved("JPEG", size, "RGB", subsampling=0)
    start = content.index(b"\xff\xda")
    single = saved("JPEG", size)
    data = single[single.index(b"\xff\xda") + 10 : -2]  # of one colour that is the same everywhere
    one = [b"\xff\xda\0\x08\x01" + bytes([colour, 0]) + b"\0\x3f\0" + data for colour in (1, 2, 3)]
    return content[:start] + b"".join(one[index % 3] for index in range(number)) + b"\xff\xd9"


def segment(marker: int, content: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*before: bytes, size: tuple[int, int] = (64, 64)) -> bytes:
    """A PNG with chunks before its pixels."""
    whole = saved("PNG", size)
    at = whole.index(b"IDAT") - 4
    return whole[:at] + b"".join(before) + whole[at:]


def directory(entries: int, length: int) -> bytes:
    """An EXIF block whose entries are all the same bytes, as many as there are beyond the entries."""
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", entries)
    start = len(head) + 12 * entries + 4
    return head + b"".join(struct.pack("<HHII", 1 + n, 7, length, start) for n in range(entries)) + bytes(4 + length)


def gif(extension: bytes) -> bytes:
    """A GIF with blocks before its image."""
    whole = saved("GIF")
    at = 13 + (3 << (whole[10] & 7) + 1 if whole[10] & 0x80 else 0)
    return whole[:at] + extension + whole[at:]


def tiff_of_strips(number: int) -> bytes:
    """A TIFF of one pixel a strip."""
    tags = [(256, 4, 1, 1), (257, 4, 1, number), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    data = 8 + 2 + 12 * 8 + 4
    tags += [(273, 4, number, data), (278, 4, 1, 1), (279, 4, number, data + 4 * number)]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", 8) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return head + struct.pack("<I", 8) * number + struct.pack("<I", 1) * number


def webp(parts: int) -> bytes:
    whole = saved("WEBP", mode="RGB")
    body = whole[12:] + b"JUNK\0\0\0\0" * parts
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def bitmap_of_run_lengths(width: int, height: int) -> bytes:
    """A BMP of nothing but the ends of its lines."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    start = 14 + len(head) + 1024
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + head + bytes(1024) + b"\1\1\0\0" * height + b"\0\1"


def icon(content: bytes) -> bytes:
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 64, 64, 0, 0, 1, 32, len(content), 22) + content


def jpeg2000_of_tiles(side: int) -> bytes:
    """A JPEG 2000 that says that its tiles are of one pixel."""
    content = bytearray(saved("JPEG2000", (side, side), no_jp2=True))
    content[24:32] = struct.pack(">II", 1, 1)
    return bytes(content)


def avif_of_items(number: int) -> bytes:
    items = struct.pack(">I4sBxxxH", 14, b"iinf", 0, number)
    meta = struct.pack(">I4sI", 12 + len(items), b"meta", 0) + items
    return struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"avif", 0, b"avif", b"mif1") + meta
