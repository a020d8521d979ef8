"""Read the pickles that ``paddle.save`` and ``fluid.save`` write, and nothing else a pickle can do.

A pickle is a program that may call any importable function. Here the only callables it can reach
are the few below: stand-ins that note down a numeric numpy array, and plain containers. numpy's
own classes are not among them, because their ``__setstate__`` trusts what it is given. Any other
name is refused before it is looked up, so nothing of the file's choosing is imported or run.
"""

import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.errors import UserError
from imgcls.weights.file_header import describe_start

NAME_TABLE = "StructuredToParameterName@@"
SPLIT_TENSORS = "UnpackBigParamInfor@@"


def load_pickle(path: str | Path, keep_name_table: bool = False) -> dict[str, Any]:
    """The dict in ``path``: numpy arrays, numbers, strings and containers of them.

    A tensor that ``paddle.save`` wrote as ``(name, array)`` or in slices comes as one array.

    Args:
        keep_name_table: keep Paddle's map from structured to parameter names, under ``NAME_TABLE``.

    Raises:
        UserError: the file cannot be read, is no pickle of a dict, is damaged, or asks for anything
            beyond numeric arrays and plain containers.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if file.read(1) != pickle.PROTO:
                raise UserError(f"{path} is not a file of paddle.save: {describe_start(path)}.")
            file.seek(0)
            loaded = _plain(_Unpickler(file, path).load(), {})
            if isinstance(loaded, dict):
                loaded = _join_split_tensors(loaded)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise UserError(f"{path} is damaged or cut short ({type(error).__name__}: {error}).") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path} holds a {type(loaded).__name__}; a dict of tensors is expected.")
    if not keep_name_table:
        loaded.pop(NAME_TABLE, None)
    return loaded


class _DType:
    """Stand-in for ``numpy.dtype``: a code such as ``f4``, numeric ones only."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, align: bool = False, copy: bool = True):
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in "biufc":
            raise ValueError(f"data type {code!r} is not numeric")

    def __setstate__(self, state: tuple) -> None:
        _, order, *rest = state
        if order not in ("<", ">", "=", "|") or any(part not in (None, -1, 0) for part in rest):
            raise ValueError("data type with fields")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stand-in for ``numpy.ndarray``: a view of the pickled bytes."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.fill(data, dtype, shape, "F" if fortran else "C")

    def fill(self, data: bytes | str, dtype: _DType, shape: tuple[int, ...], order: str) -> None:
        data = data.encode("latin-1") if isinstance(data, str) else data
        if not isinstance(dtype, _DType) or len(data) != math.prod(shape) * dtype.dtype.itemsize:
            raise ValueError(f"{len(data)} bytes for an array of shape {shape}")
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _reconstruct(subtype: type, shape: tuple, dtype: bytes) -> _Array:
    return _Array()


def _from_buffer(data: bytes, dtype: _DType, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.fill(data, dtype, shape, order)
    return array


def _scalar(dtype: _DType, data: bytes | str) -> Any:
    array = _Array()
    array.fill(data, dtype, (), "C")
    return array.array[()]


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes: always as latin-1 text."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"encoding {encoding!r}")
    return text.encode("latin-1")


_ALLOWED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (bytearray, bytes, complex, frozenset, set, tuple)
    },
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path):
        super().__init__(file, encoding="latin-1")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UserError(
                f"{self.path} is refused: it asks for {module}.{name}, which a file of weights has no need of. "
                "Nothing of it was executed. Take the weights from a source you trust."
            ) from None


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """``value`` with arrays in place of stand-ins; ``done`` holds what was met before, by identity."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict | list | tuple | set | frozenset):
        if id(value) not in done:
            done[id(value)] = None  # what contains itself ends here
            done[id(value)] = _plain_container(value, done)
        return done[id(value)]
    if isinstance(value, None | bool | int | float | complex | str | bytes | bytearray | np.generic):
        return value
    raise ValueError(f"a stray {type(value).__name__.lstrip('_')}")


def _plain_container(value: dict | list | tuple | set | frozenset, done: dict[int, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item, done) for key, item in value.items()}
    items = [_plain(item, done) for item in value]
    if not isinstance(value, tuple):
        return type(value)(items)
    if len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], np.ndarray):
        return items[1]  # how Paddle 2.1 and later write a tensor inside a nested object
    return tuple(items)


def _join_split_tensors(loaded: dict[str, Any]) -> dict[str, Any]:
    """Put tensors together that protocols 2 and 3 split because they exceed 1 GiB."""
    for name, info in loaded.pop(SPLIT_TENSORS, {}).items():
        slices = [loaded.pop(part) for part in info["slices"]]
        loaded[name] = np.concatenate(slices).reshape(info["OriginShape"])
    return loaded
