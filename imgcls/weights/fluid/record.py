"""One variable as PaddlePaddle 1.x (fluid) stored it: bytes to array and back.

A record, little endian:

    uint32   version, 0
    uint64   number of LoD levels; each level is a uint64 byte count and that many bytes
    uint32   tensor version, 0
    int32    length of the description
    bytes    description, a protobuf message: field 1 the data type, field 2 the dimensions
    bytes    the values, C order

A record is refused before its values are looked at when what its head says is not what is there.
"""

import math
import struct

import numpy as np

from imgcls.errors import UserError
from imgcls.machine.limits import DIMENSIONS, HEADER_BYTES
from imgcls.weights.fluid.protobuf import fields, varint

LEVELS = 16
HEAD_BYTES = (LEVELS + 2) * (HEADER_BYTES + 20)
"""Within which the values of a record begin."""

# numbers of paddle's VarType.Type
DTYPES = {
    0: np.dtype("?"),
    1: np.dtype("<i2"),
    2: np.dtype("<i4"),
    3: np.dtype("<i8"),
    4: np.dtype("<f2"),
    5: np.dtype("<f4"),
    6: np.dtype("<f8"),
    20: np.dtype("u1"),
    21: np.dtype("i1"),
}


def decode(data: bytes, where: str, position: int = 0) -> tuple[np.ndarray, int]:
    """The record at ``position``, as a read-only view of ``data``, and the position after it.

    Args:
        where: the file (and member or variable) that error messages name.

    Raises:
        UserError: the bytes are no record, or end early.
    """
    dtype, shape, start, end = _head(data, where, position, len(data))
    return np.frombuffer(memoryview(data)[start:end], dtype).reshape(shape), end


def decode_only(data: bytes, where: str) -> np.ndarray:
    """The one record that ``data`` holds; bytes after it are an error too."""
    require_record(data, len(data), where)
    return decode(data, where)[0]


def require_record(start: bytes, size: int, where: str) -> None:
    """Whether what begins with ``start``, its first ``HEAD_BYTES``, and has ``size`` bytes can be one record.

    Raises:
        UserError: it is none, ends early, or goes on after the record.
    """
    end = _head(start, where, 0, size)[3]
    if end != size:
        raise UserError(f"{where} is damaged: {size - end} bytes follow after the variable.")


def _head(data: bytes, where: str, position: int, size: int) -> tuple[np.dtype, list[int], int, int]:
    """Data type, shape, and where the values begin and end, in a record of which ``data`` may be the start alone."""

    def take(count: int, what: str) -> memoryview:
        nonlocal position
        if not 0 <= count <= size - position:
            raise UserError(
                f"{where} is damaged or cut short: {what} should take {count} bytes, {size - position} are left."
            )
        position += count
        return memoryview(data)[position - count : position]

    version, levels = struct.unpack("<IQ", take(12, "the head of a variable"))
    if version != 0 or levels > LEVELS:
        raise UserError(f"{where} is not a variable in the fluid 1.x format.")
    for _ in range(levels):
        (length,) = struct.unpack("<Q", take(8, "the size of a LoD level"))
        if length > HEADER_BYTES:
            raise UserError(f"{where} is refused: its sequence lengths take {length:,} bytes; weights have none.")
        take(length, "a LoD level")
    tensor_version, length = struct.unpack("<Ii", take(8, "the head of a tensor"))
    if tensor_version != 0:
        raise UserError(f"{where} is not a variable in the fluid 1.x format.")
    if length > HEADER_BYTES:
        raise UserError(f"{where} is damaged: the description of its tensor takes {length:,} bytes.")
    dtype, shape = _read_description(take(length, "the description"), where)
    start = position
    take(math.prod(shape) * dtype.itemsize, f"a {dtype} tensor of shape {shape}")
    return dtype, shape, start, position


def encode(array: np.ndarray, where: str) -> bytes:
    """The record of ``array``, bit for bit as the original library writes it."""
    array = np.asarray(array)
    dtype = array.dtype.newbyteorder("<")
    number = next((number for number, known in DTYPES.items() if known == dtype), None)
    if number is None:
        raise UserError(f"{where}: the fluid 1.x format has no place for {array.dtype} values.")
    description = b"\x08" + varint(number) + b"".join(b"\x10" + varint(size) for size in array.shape)
    head = struct.pack("<IQIi", 0, 0, 0, len(description))
    return head + description + array.astype(dtype).tobytes()


def _read_description(message: memoryview, where: str) -> tuple[np.dtype, list[int]]:
    number, shape = None, []
    try:
        for field, value in fields(message):
            if field == 1:
                number = value
            elif field == 2:
                shape.append(value)
    except ValueError as error:
        raise UserError(f"{where} is damaged: the description of its tensor is no message ({error}).") from None
    if len(shape) > DIMENSIONS:
        raise UserError(f"{where} is damaged: a tensor of {len(shape):,} dimensions cannot be.")
    if not isinstance(number, int) or number not in DTYPES:
        raise UserError(f"{where} is damaged: its data type cannot be.")
    if not all(isinstance(size, int) for size in shape) or math.prod(size or 1 for size in shape) >= 1 << 48:
        raise UserError(f"{where} is damaged: its shape cannot be.")
    return DTYPES[number], shape
