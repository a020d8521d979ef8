"""``.safetensors`` files: the length of a JSON header, the header, and the values of all tensors in a row.

Read and written here rather than by the format's own package, which believes a header of 100 MB; the tests hold both
to each other. The header says of each tensor its type, its shape and where its values lie; they must fill the rest of
the file without a gap or an overlap, as the format demands.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from imgcls.errors import UserError
from imgcls.machine.limits import DIMENSIONS, JSON_BYTES, TENSORS
from imgcls.machine.reading import parse_json, shown

METADATA = "__metadata__"
ALIGNMENT = 8
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",  # as Paddle keeps bfloat16 in numpy, and adapt.to_float32 reads it
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def is_safetensors(start: bytes) -> bool:
    """Whether a file that begins like this may be one: a length that a header has, and its opening brace.

    Such a length may begin as a pickle or a zip file does; four zeros do not follow there.
    """
    return start[8:9] == b"{" and 0 < int.from_bytes(start[:8], "little") < 1 << 32


def read_safetensors(file: BinaryIO, path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors by name, and the texts that the file holds about itself.

    Raises:
        UserError: it is damaged, cut short, or holds types that no weights have.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        length = int.from_bytes(file.read(8), "little")
        if length > min(JSON_BYTES, size - 8):
            raise ValueError(f"a header of {length:,} bytes")
        header = parse_json(file.read(length).decode("utf-8"))
        metadata = header.pop(METADATA, None) or {}
        if len(header) > TENSORS or not _are_texts(metadata):
            raise ValueError("too many tensors, or metadata that are no texts")
        places = sorted((_place(name, entry) for name, entry in header.items()), key=lambda place: place[1:3])
        position, arrays = 0, {}
        for name, begin, end, dtype, shape in places:
            if begin != position:
                raise ValueError(f"{shown(name)} does not begin where the tensor before it ends")
            position = end
            if 8 + length + end > size:
                raise ValueError(f"the values of {shown(name)} end after the file")
            arrays[name] = np.fromfile(file, dtype, math.prod(shape)).reshape(shape)
        if 8 + length + position != size:
            raise ValueError("something follows its tensors")
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no whole .safetensors file ({shown(str(error), 200)}).") from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    return arrays, metadata


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write tensors in the order the format's own package takes: the widest types first, then by name."""
    codes = {np.dtype(code): name for name, code in DTYPES.items() if name != "BF16"}
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    position = 0
    for name, array in ordered:
        header[name] = {
            "dtype": codes[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)


def _are_texts(metadata: Any) -> bool:
    return isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())


def _place(name: str, entry: Any) -> tuple[str, int, int, np.dtype, tuple[int, ...]]:
    """Name, first byte and end among the values, type and shape of a tensor."""
    code, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if code not in DTYPES:
        raise ValueError(f"{shown(name)} is of the type {shown(str(code))}")
    if len(shape) > DIMENSIONS or not all(type(number) is int and 0 <= number < 1 << 48 for number in (*shape, begin)):
        raise ValueError(f"the shape of {shown(name)} cannot be")
    dtype = np.dtype(DTYPES[code])
    if end != begin + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{shown(name)} has not the bytes of its shape")
    return name, begin, end, dtype, shape
