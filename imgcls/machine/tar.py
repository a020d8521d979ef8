"""The members of a plain tar, without unpacking it: where each lies, in an archive that is whole.

Python's ``tarfile`` takes an archive that is cut between two members for a whole one, believes sizes, and looks
through pax headers in quadratic time (CVE-2024-6232). Here every size must lie within the file, headers are read
once from left to right, and the mark at the end must be there.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple

from imgcls.errors import UserError
from imgcls.machine.reading import shown

BLOCK = 512
LONG_HEADER = 1 << 16
REGULAR, OLD_REGULAR, CONTIGUOUS, DIRECTORY, SPARSE = b"0", b"\0", b"7", b"5", b"S"
WITHOUT_CONTENT = b"123456"
"""Links, devices, directories, pipes: whatever size their headers tell."""

LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = b"L", b"K", b"x", b"g"


class Member(NamedTuple):
    """Its path as it is stored, where its content begins, how long that is; a link or the like is an ``other``."""

    path: bytes
    kind: Literal["file", "directory", "other"]
    offset: int
    size: int


def members(
    file: BinaryIO, name: str, header_bytes: int | None = None, content_bytes: int | None = None
) -> Iterator[Member]:
    """The members of a tar, in order.

    Args:
        name: of the archive, for messages.
        header_bytes: of long names and pax headers together, at most.
        content_bytes: of all members together, at most.

    Raises:
        UserError: more than that, or a header that is longer than any name needs.
        ValueError: it is not a whole tar; ``at`` is the byte where that shows.
    """
    position = 0
    try:
        for after, member in _members(file, name, header_bytes, content_bytes):
            if member:
                yield member
            position = after
    except ValueError as error:
        error.at = position
        raise


def _members(
    file: BinaryIO, name: str, header_bytes: int | None, content_bytes: int | None
) -> Iterator[tuple[int, Member | None]]:
    """Each member with the position after it, and that alone after a header."""
    end = os.fstat(file.fileno()).st_size
    position = headers = total = 0
    long_path: bytes | None = None
    pax: dict[bytes, bytes] = {}
    of_all: dict[bytes, bytes] = {}
    while True:
        block = _read(file, position, BLOCK, end)
        if block == bytes(BLOCK):
            return
        kind, size = block[156:157], _number(block[124:136])
        _check_sum(block, size)
        if kind in (LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL):
            headers += size
            if size > LONG_HEADER or (header_bytes is not None and headers > header_bytes):
                raise UserError(f"{name} is refused: a header of {size:,} bytes.")
            content = _read(file, position + BLOCK, size, end)
            if kind == LONG_NAME:
                long_path = content.split(b"\0", 1)[0]
            elif kind == PAX:
                pax |= _pax_records(content)
            elif kind == PAX_GLOBAL:
                of_all |= _pax_records(content)
            position += BLOCK + _padded(size)
            yield position, None
            continue
        known = of_all | pax
        if b"size" in known:
            size = _decimal(known[b"size"])
        path = known.get(b"path") or long_path or _path(block)
        is_plain = b"linkpath" not in known and not any(key.startswith(b"GNU.sparse") for key in known)
        is_file = kind in (REGULAR, OLD_REGULAR, CONTIGUOUS)
        if kind == DIRECTORY or (kind == OLD_REGULAR and path.endswith(b"/")):
            what = "directory"
        else:
            what = "file" if is_file and is_plain else "other"
        size = 0 if what == "directory" or kind in WITHOUT_CONTENT else size
        total += size
        if content_bytes is not None and total > content_bytes:
            raise UserError(f"{name} is refused: its members are more than {content_bytes >> 30} GiB.")
        position += BLOCK
        if kind == SPARSE:
            position = _after_map(file, block, position, end)
        if position + size > end:
            said = shown(path.decode("utf-8", "backslashreplace"))
            raise ValueError(f"member {said!r} of {size:,} bytes does not fit")
        member = Member(path, what, position, size)
        position += _padded(size)
        yield position, member
        long_path, pax = None, {}


def _after_map(file: BinaryIO, block: bytes, position: int, end: int) -> int:
    """Where the content of a file in pieces begins, whose list of them goes on in more blocks."""
    goes_on = block[482]
    while goes_on:
        goes_on = _read(file, position, BLOCK, end)[504]
        position += BLOCK
    return position


def _read(file: BinaryIO, position: int, size: int, end: int) -> bytes:
    if position + size > end:
        raise ValueError("the mark at its end is missing")
    file.seek(position)
    return file.read(size)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _number(field: bytes) -> int:
    """Octal digits, or base 256 after a byte of 0x80."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return int(field.split(b"\0", 1)[0].strip() or b"0", 8) if field[0] < 0x80 else -1


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 18:
        raise ValueError("a size that is no number")
    return int(text)


def _check_sum(block: bytes, size: int) -> None:
    summed = block[:148] + block[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in summed)  # as some old programs did
    if size < 0 or _number(block[148:156]) not in (256 + sum(summed), 256 + signed):
        raise ValueError("bad checksum")


def _path(block: bytes) -> bytes:
    path, prefix = (block[start:stop].split(b"\0", 1)[0] for start, stop in ((0, 100), (345, 500)))
    return prefix + b"/" + path if prefix and block[257:263] == b"ustar\0" else path


def _pax_records(content: bytes) -> dict[bytes, bytes]:
    """``<length> <key>=<value>\\n`` one after the other; the length counts itself."""
    records = {}
    position = 0
    while position < len(content):
        digits, _, _ = content[position : position + 8].partition(b" ")
        length = _decimal(digits)
        record = content[position + len(digits) + 1 : position + length]
        key, separator, value = record.partition(b"=")
        if not len(digits) < length <= len(content) - position or not separator or not value.endswith(b"\n"):
            raise ValueError("a pax header that is none")
        records[key] = value[:-1]
        position += length
    return records
