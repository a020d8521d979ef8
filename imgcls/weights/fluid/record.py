"""One variable as PaddlePaddle 1.x (fluid) stored it: bytes to array and back.

A record, little endian:

    uint32   version, 0
    uint64   number of LoD levels; each level is a uint64 byte count and that many bytes
    uint32   tensor version, 0
    int32    length of the description
    bytes    description, a protobuf message: field 1 the data type, field 2 the dimensions
    bytes    the values, C order
"""

import math
import struct

import numpy as np

from imgcls.errors import UserError
from imgcls.weights.fluid.protobuf import fields, varint

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

    def take(count: int, what: str) -> memoryview:
        nonlocal position
        left = len(data) - position
        if not 0 <= count <= left:
            raise UserError(f"{where} is damaged or cut short: {what} should take {count} bytes, {left} are left.")
        position += count
        return memoryview(data)[position - count : position]

    version, levels = struct.unpack("<IQ", take(12, "the head of a variable"))
    if version != 0 or levels > 16:
        raise UserError(f"{where} is not a variable in the fluid 1.x format.")
    for _ in range(levels):
        (size,) = struct.unpack("<Q", take(8, "the size of a LoD level"))
        take(size, "a LoD level")
    tensor_version, length = struct.unpack("<Ii", take(8, "the head of a tensor"))
    if tensor_version != 0:
        raise UserError(f"{where} is not a variable in the fluid 1.x format.")
    dtype, shape = _read_description(take(length, "the description"), where)
    values = take(math.prod(shape) * dtype.itemsize, f"a {dtype} tensor of shape {shape}")
    return np.frombuffer(values, dtype).reshape(shape), position


def decode_only(data: bytes, where: str) -> np.ndarray:
    """The one record that ``data`` holds; bytes after it are an error too."""
    array, end = decode(data, where)
    if end != len(data):
        raise UserError(f"{where} is damaged: {len(data) - end} bytes follow after the variable.")
    return array


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
    if number not in DTYPES or not all(isinstance(size, int) and size < 1 << 40 for size in shape):
        raise UserError(f"{where} is damaged: data type {number}, shape {shape} cannot be.")
    return DTYPES[number], shape
