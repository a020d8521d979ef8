"""The members of a tar of variables, without unpacking it: where each lies, in an archive that is whole.

Python's ``tarfile`` takes an archive that is cut between two members for a whole one, believes sizes, and looks
through pax headers in quadratic time (CVE-2024-6232). Here every size must lie within the file, headers are read
once from left to right, and the mark at the end must be there. ``TENSORS``, ``WEIGHTS_BYTES``, ``NAME_BYTES`` and
``TAR_HEADER_BYTES`` bound the rest.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from imgcls.errors import UserError
from imgcls.machine.limits import NAME_BYTES, TAR_HEADER_BYTES, TENSORS, WEIGHTS_BYTES
from imgcls.machine.reading import shown

BLOCK = 512
LONG_HEADER = 1 << 16
REGULAR, OLD_REGULAR, DIRECTORY = b"0", b"\0", b"5"
LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = b"L", b"K", b"x", b"g"


class Member(NamedTuple):
    """A file or a directory: its path as it is stored, where its content begins, and how long that is."""

    path: bytes
    is_directory: bool
    offset: int
    size: int


def members(file: BinaryIO, name: str) -> Iterator[Member]:
    """The files and directories of a tar, in order.

    Args:
        name: of the archive, for messages.

    Raises:
        UserError: a member is a link or a special file, or too much is in it.
        ValueError: it is not a whole tar.
    """
    end = os.fstat(file.fileno()).st_size
    position = total = count = headers = 0
    long_path: bytes | None = None
    pax: dict[bytes, bytes] = {}
    while True:
        block = _read(file, position, BLOCK, end)
        if block == bytes(BLOCK):
            return
        kind, size = block[156:157], _number(block[124:136])
        _check_sum(block)
        if kind in (LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL):
            headers += size
            if size > LONG_HEADER or headers > TAR_HEADER_BYTES:
                raise UserError(f"{name} is refused: a header of {size:,} bytes.")
            content = _read(file, position + BLOCK, size, end)
            if kind == LONG_NAME:
                long_path = content.split(b"\0", 1)[0]
            elif kind in (PAX, PAX_GLOBAL):
                pax |= _pax_records(content)
            position += BLOCK + _padded(size)
            continue
        if b"size" in pax:
            size = _decimal(pax[b"size"])
        path = pax.get(b"path") or long_path or _path(block)
        said = shown(path.decode("utf-8", "backslashreplace"))
        sparse = any(key.startswith(b"GNU.sparse") for key in pax)
        if sparse or b"linkpath" in pax or kind not in (REGULAR, OLD_REGULAR, DIRECTORY):
            raise UserError(f"{name} is refused: its member {said!r} is a link or a special file.")
        total, count = total + size, count + 1
        if total > WEIGHTS_BYTES or count > TENSORS:
            raise UserError(f"{name} is refused: more than {WEIGHTS_BYTES >> 30} GiB or {TENSORS:,} members.")
        if len(path) > NAME_BYTES:
            raise UserError(f"{name} is refused: its member {said!r} has a name of {len(path):,} bytes.")
        is_directory = kind == DIRECTORY or path.endswith(b"/")
        size = 0 if is_directory else size
        position += BLOCK
        if position + size > end:
            raise ValueError(f"member {said!r} of {size:,} bytes does not fit")
        yield Member(path, is_directory, position, size)
        position += _padded(size)
        long_path, pax = None, {}


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


def _check_sum(block: bytes) -> None:
    sizes = _number(block[124:136])
    if sizes < 0 or _number(block[148:156]) != 256 + sum(block[:148]) + sum(block[156:]):
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
