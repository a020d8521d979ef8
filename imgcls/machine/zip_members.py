"""The members of a zip, without unpacking it: where each lies, read once from its table of contents.

``zipfile`` keeps an object of some 700 bytes for each member, and its file cannot be shared between processes.
Here the table is walked once from left to right; every member must lie within the file, and no two overlap.
"""

import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from imgcls.machine.limits import PACKED_BYTES, ZIP_TABLE_BYTES

END, END64, LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
ENTRY, LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
COMMENT = 1 << 16
ENCRYPTED, UTF8 = 1 << 0, 1 << 11
STORED, DEFLATED = 0, 8
IN_64_BITS = 0xFFFFFFFF
EXTRA_64, EXTRA_NAME = 0x0001, 0x7075


class ZipMember(NamedTuple):
    """Its path as it is stored, where its own header begins, and how its content is packed.

    ``fault`` says why it cannot be read, if that is known already.
    """

    path: bytes
    header: int
    size: int
    packed: int
    deflated: bool
    crc: int
    fault: str | None


def zip_members(file: BinaryIO) -> Iterator[ZipMember]:
    """The members of a zip but for directories, in the order of its table of contents.

    Raises:
        ValueError: it is not a whole zip, or its table of contents is beyond the bounds.
    """
    end = os.fstat(file.fileno()).st_size
    start, size, shift = _table(file, end)
    if size > ZIP_TABLE_BYTES:
        raise ValueError(f"a table of contents of {size:,} bytes")
    table = os.pread(file.fileno(), size, start)
    if len(table) < size:
        raise ValueError("it is cut off")
    position = packed = 0
    while position < size:
        if size - position < ENTRY.size:
            raise ValueError("its table of contents is cut off")
        found = ENTRY.unpack_from(table, position)
        mark, made_by, _, flags, method, _, _, crc, packed_size, full_size = found[:10]
        name_size, extra_size, comment_size, _, _, attributes, header = found[10:]
        if mark != b"PK\1\2":
            raise ValueError("its table of contents is damaged")
        names = position + ENTRY.size
        position = names + name_size + extra_size + comment_size
        if position > size:
            raise ValueError("its table of contents is cut off")
        path = table[names : names + name_size]
        extra = table[names + name_size : names + name_size + extra_size]
        full_size, packed_size, header = _in_64_bits(extra, full_size, packed_size, header)
        if not flags & UTF8:
            path = _name_in_utf8(extra, path)
        packed += packed_size
        if header + shift + LOCAL.size + packed_size > start or packed > start:
            raise ValueError("its members overlap, or lie outside of it")
        if path.endswith((b"/", b"\\")) and not full_size:
            continue
        is_link = made_by >> 8 == 3 and stat.S_ISLNK(attributes >> 16)
        fault = _fault(flags, method, is_link, full_size, packed_size)
        yield ZipMember(path, header + shift, full_size, packed_size, method == DEFLATED, crc, fault)


def read_member(
    read: Callable[[int, int], bytes], header: int, size: int, packed: int, deflated: bool, crc: int
) -> bytes:
    """The content of a member, whose check sum is compared.

    Args:
        read: gives so many bytes from a position on, fewer only at the end of the archive.

    Raises:
        ValueError: it is damaged.
    """
    content = read(_content_of(read, header), packed)
    if len(content) < packed:
        raise ValueError("it is cut off")
    if deflated:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, size + 1)
        except zlib.error as error:
            raise ValueError("it is damaged") from error
    if len(content) != size or zlib.crc32(content) != crc:
        raise ValueError("its check sum is another")
    return content


def start_of_member(read: Callable[[int, int], bytes], header: int, packed: int, deflated: bool, count: int) -> bytes:
    """The first ``count`` bytes of a member, or all of a shorter one; see ``read_member``.

    Raises:
        ValueError: it is damaged.
    """
    content = read(_content_of(read, header), min(packed, count + count // 64 + 1024))  # what does not shrink grows
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, count) if deflated else content[:count]
    except zlib.error as error:
        raise ValueError("it is damaged") from error


def _content_of(read: Callable[[int, int], bytes], header: int) -> int:
    """Where the content begins of the member whose own header begins there."""
    local = read(header, LOCAL.size)
    if len(local) < LOCAL.size or local[:4] != b"PK\3\4":
        raise ValueError("its header is damaged")
    name_size, extra_size = LOCAL.unpack(local)[-2:]
    return header + LOCAL.size + name_size + extra_size


def _table(file: BinaryIO, end: int) -> tuple[int, int, int]:
    """Where the table of contents begins and how long it is, and what precedes the archive in its file."""
    tail_start = max(0, end - END.size - COMMENT)
    tail = os.pread(file.fileno(), end - tail_start, tail_start)
    at = tail.rfind(b"PK\5\6")
    while at >= 0 and (len(tail) - at < END.size or END.unpack_from(tail, at)[7] != len(tail) - at - END.size):
        at = tail.rfind(b"PK\5\6", 0, at)
    if at < 0:
        raise ValueError("there is no table of contents at its end")
    size, offset = END.unpack_from(tail, at)[5:7]
    after = tail_start + at
    locator = os.pread(file.fileno(), LOCATOR.size, max(0, after - LOCATOR.size))
    if locator.startswith(b"PK\6\7"):
        after -= LOCATOR.size + END64.size
        record = os.pread(file.fileno(), END64.size, max(0, after))
        if len(record) < END64.size or not record.startswith(b"PK\6\6"):
            raise ValueError("its table of contents is damaged")
        size, offset = END64.unpack(record)[8:10]
    start = after - size
    if start < 0 or start < offset:
        raise ValueError("it is cut off")
    return start, size, start - offset


def _in_64_bits(extra: bytes, *values: int) -> tuple[int, ...]:
    """The values, those that do not fit into 32 bits from the extra field that has them."""
    field = _extra(extra, EXTRA_64)
    found, place = [], 0
    for value in values:
        if value == IN_64_BITS:
            if len(field) < place + 8:
                raise ValueError("its table of contents is damaged")
            value = int.from_bytes(field[place : place + 8], "little")
            place += 8
        found.append(value)
    return tuple(found)


def _name_in_utf8(extra: bytes, path: bytes) -> bytes:
    """The name that Info-ZIP writes beside one in the system's own encoding, if it is of the same file."""
    field = _extra(extra, EXTRA_NAME)
    if len(field) > 5 and field[0] == 1 and int.from_bytes(field[1:5], "little") == zlib.crc32(path):
        return field[5:]
    return path


def _extra(extra: bytes, kind: int) -> bytes:
    place = 0
    while place + 4 <= len(extra):
        found, size = struct.unpack_from("<2H", extra, place)
        if found == kind:
            return extra[place + 4 : place + 4 + size]
        place += 4 + size
    return b""


def _fault(flags: int, method: int, is_link: bool, size: int, packed: int) -> str | None:
    if flags & ENCRYPTED:
        return "it is encrypted: unpack it, and pack it without a password"
    if is_link:
        return "it is a link: pack the files themselves (zip -r follows links)"
    if method not in (STORED, DEFLATED):
        return f"it is packed by method {method}: pack it with deflate, as zip -r does"
    if method == STORED and size != packed:
        return "its sizes differ"
    return f"it has more than {PACKED_BYTES:,} bytes" if method == DEFLATED and size > PACKED_BYTES else None
