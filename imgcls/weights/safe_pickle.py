"""Read the pickles that ``paddle.save`` and ``fluid.save`` write, and nothing else a pickle can do.

``torch_file`` reads those of ``torch.save`` on the same ``Machine``, with other names allowed.

A pickle is a program that may call any importable function. Here the only callables it can reach
are the few below: stand-ins that note down a numeric numpy array, and plain containers. numpy's
own classes are not among them, because their ``__setstate__`` trusts what it is given. Any other
name is refused before it is looked up, so nothing of the file's choosing is imported or run.

The program is carried out here, not by Python's unpickler, which gives it whatever memory it asks
for: the bounds are ``PICKLE_STEPS`` instructions, no text or bytes that the file does not hold,
``COPIES_BYTES`` of containers and copies beyond the file's size, ``DEPTH`` containers within another.
"""

import codecs
import math
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from imgcls.errors import UserError
from imgcls.machine.limits import COPIES_BYTES, DEPTH, DIMENSIONS, NAME_BYTES, PICKLE_STEPS
from imgcls.machine.reading import open_regular, shown
from imgcls.weights.file_header import describe_start

NAME_TABLE = "StructuredToParameterName@@"
SPLIT_TENSORS = "UnpackBigParamInfor@@"

CONTAINER_BYTES, ITEM_BYTES = 256, 64  # about what a container or an array takes, and an entry of one
LONG, CHUNK = 1 << 10, 1 << 20
KEYS = (str, int, float, bytes, type(None))


def load_pickle(path: str | Path, keep_name_table: bool = False) -> dict[str, Any]:
    """The dict in ``path``: numpy arrays, numbers, strings and containers of them.

    A tensor that ``paddle.save`` wrote as ``(name, array)`` or in slices comes as one array.

    Args:
        keep_name_table: keep Paddle's map from structured to parameter names, under ``NAME_TABLE``.

    Raises:
        UserError: the file cannot be read, is no pickle of a dict, is damaged, takes more than the
            bounds allow, or asks for anything beyond numeric arrays and plain containers.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            if file.read(1) != pickle.PROTO:
                raise UserError(f"{path} is not a file of paddle.save: {describe_start(path)}.")
            file.seek(0)
            machine = Machine(file, path, os.fstat(file.fileno()).st_size)
            loaded = plain(machine.run())
            if isinstance(loaded, dict):
                loaded = _join_split_tensors(loaded, machine)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except Exception as error:  # damaged bytes raise nearly anything
        reason = shown(f"{type(error).__name__}: {error}", 200)
        raise UserError(f"{path} is damaged or cut short ({reason}).") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path} holds a {type(loaded).__name__}; a dict of tensors is expected.")
    if not keep_name_table:
        loaded.pop(NAME_TABLE, None)
    return loaded


def only_arrays(values: Any) -> bool:
    """Whether ``values`` is a dict from names to arrays."""
    return isinstance(values, dict) and all(
        isinstance(name, str) and isinstance(value, np.ndarray) for name, value in values.items()
    )


class NameRefused(UserError):
    """A pickle asked for a class or a function that weights have no need of."""


class _DType:
    """Stand-in for ``numpy.dtype``: a code such as ``f4``, numeric ones only."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, align: Any = False, copy: Any = True):
        if not isinstance(code, str | bytes) or len(code) > 16:
            raise ValueError("a data type that is no short code")
        self.dtype = np.dtype(code if isinstance(code, str) else code.decode("ascii"))
        if self.dtype.kind not in "biufc":
            raise ValueError(f"data type {code!r} is not numeric")

    def build(self, state: Any) -> None:
        _, order, *rest = state
        if order not in ("<", ">", "=", "|") or any(part is not None and part not in (-1, 0) for part in rest):
            raise ValueError("data type with fields")
        self.dtype = self.dtype.newbyteorder(order)


class StandIn:
    """Something that becomes an array in the end, ``array``."""

    __slots__ = ("array",)


class _Array(StandIn):
    """Stand-in for ``numpy.ndarray``: a view of the pickled bytes."""

    __slots__ = ()

    def build(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.fill(data, dtype, shape, "F" if fortran is True else "C")

    def fill(self, data: Any, dtype: Any, shape: Any, order: str) -> None:
        if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray):
            raise ValueError("an array without a data type or values")
        if not isinstance(shape, tuple) or len(shape) > DIMENSIONS or not all(map(_is_size, shape)):
            raise ValueError("an array whose shape is none")
        if len(data) != math.prod(shape) * dtype.dtype.itemsize:
            raise ValueError(f"{len(data)} bytes for an array of shape {shape}")
        self.array = np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 40


class _LongText(bytearray):
    """A text of more than ``LONG`` bytes: what protocol 2 or Python 2 made of the values of a tensor."""


class Machine:
    """Carries out a pickle's instructions; what they ask for beyond the bounds is a ``ValueError``.

    Args:
        file: at the pickle's first byte.
        path: for messages.
        size: where the file ends.
        names: what the pickle may name, by module and name: an ``Allowed`` function, or anything else as it is.
        persistent: what an object that the pickle keeps outside of itself is, by its identification.
    """

    def __init__(
        self,
        file: BinaryIO,
        path: Path,
        size: int,
        names: Mapping[tuple[str, str], Any] | None = None,
        persistent: Callable[[Any], Any] | None = None,
    ):
        self.file, self.path, self.size = file, path, size
        self.names = NUMPY_NAMES if names is None else names
        self.persistent = persistent
        self.copies_left = COPIES_BYTES
        self.steps_left = PICKLE_STEPS
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.expanded: dict[int, int] = {}  # of tuples in tuples, by identity: what is in them all told

    def run(self) -> Any:
        read, instructions = self.file.read, INSTRUCTIONS
        while True:
            code = read(1)
            if code == pickle.STOP:
                return self.stack.pop()
            if code not in instructions:
                raise ValueError(f"instruction {code!r}" if code else "the end is missing")
            self.steps_left -= 1
            if self.steps_left < 0:
                raise ValueError(f"more than {PICKLE_STEPS:,} instructions")
            instructions[code](self)

    def require(self, count: int) -> None:
        """Memory is asked for only if there are the bytes to fill it."""
        if count > self.size - self.file.tell():
            raise ValueError(f"{count:,} bytes where the file ends")

    def take(self, count: int) -> bytes:
        if count > LONG:
            self.require(count)
        data = self.file.read(count)
        if len(data) != count:
            raise ValueError("the file ends")
        return data

    def take_array(self, count: int, kind: type[bytearray] = bytearray) -> bytearray:
        self.require(count)
        data = kind(count)
        if self.file.readinto(data) != count:
            raise ValueError("the file ends")
        return data

    def number(self, layout: struct.Struct) -> Any:
        return layout.unpack(self.take(layout.size))[0]

    def line(self) -> str:
        text = self.file.readline(NAME_BYTES)
        if not text.endswith(b"\n"):
            raise ValueError("a line without an end")
        return text[:-1].decode("utf-8")

    def text(self, size: int) -> str | _LongText:
        if size <= LONG:
            return self.take(size).decode("utf-8", "surrogatepass")
        self.require(size)
        decode, values = codecs.getincrementaldecoder("utf-8")().decode, _LongText()
        for start in range(0, size, CHUNK):
            data = self.file.read(min(CHUNK, size - start))
            values += decode(data, final=start + CHUNK >= size).encode("latin-1")
        return values

    def string(self, size: int) -> str | _LongText:
        """Of Python 2."""
        return self.take(size).decode("latin-1") if size <= LONG else self.take_array(size, _LongText)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        if len(self.stack) < start:
            raise ValueError("a mark without its values")
        del self.stack[start:]
        return items

    def copy(self, size: int) -> None:
        self.copies_left -= size
        if self.copies_left < 0:
            raise ValueError("it makes more of its bytes than a file of weights does")

    def name(self, module: Any, name: Any) -> None:
        try:
            self.push(self.names[module, name])
        except (KeyError, TypeError):
            wanted = shown(f"{module}.{name}") if isinstance(module, str) and isinstance(name, str) else "something"
            raise NameRefused(
                f"{self.path} is refused: it asks for {wanted}, which a file of weights has no need of. "
                "Nothing of it was executed. Take the weights from a source you trust."
            ) from None

    def outside(self) -> None:
        if self.persistent is None:
            raise ValueError("a reference to something outside of the pickle")
        self.push(self.persistent(self.stack.pop()))

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Allowed) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that is no function")
        self.copy(CONTAINER_BYTES)
        result = function.call(self, *arguments)
        (self.push_tuple if type(result) is tuple else self.push)(result)

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        self.copy(CONTAINER_BYTES)
        if isinstance(target, OrderedDict):
            return  # attributes of an OrderedDict, which no tensor is among
        if not isinstance(target, _Array | _DType) or not isinstance(state, tuple):
            raise ValueError("a state for something that has none")
        if isinstance(target, _Array) and len(state) == 5:
            state = (*state[:4], self.as_bytes(state[4]))
        target.build(state)

    def as_bytes(self, data: Any) -> Any:
        """What Python 2 called a string holds bytes."""
        if not isinstance(data, str):
            return data
        self.copy(len(data))
        return data.encode("latin-1")

    def push_tuple(self, items: tuple) -> None:
        """A few instructions nest a tuple in itself until nobody could look through it or compare it."""
        self.push(items)
        if any(isinstance(item, tuple) for item in items):
            self.copy(CONTAINER_BYTES)
            count = sum(self.expanded.get(id(item), len(item)) for item in items if isinstance(item, tuple))
            if count > PICKLE_STEPS:
                raise ValueError("a tuple that repeats itself without end")
            self.expanded[id(items)] = count + len(items)
        else:
            self.expanded.pop(id(items), None)  # of one that is gone

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise ValueError("values appended to no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("keys for no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_plain_key(key)] = value

    def add_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, set):
            raise ValueError("values added to no set")
        target.update(map(_plain_key, items))

    def remember(self, index: int) -> None:
        self.copy(ITEM_BYTES)
        self.memo[index] = self.stack[-1]


class Allowed:
    """A function that a pickle may call, or the name of a class."""

    def __init__(self, call: Callable[..., Any]):
        self.call = call


def _plain_key(key: Any) -> Any:
    """A key or set member that is quick to compare: nothing nested, no number chosen to hash like others."""
    if not isinstance(key, KEYS) or (isinstance(key, int) and key.bit_length() > 63):
        raise ValueError(f"a key of type {type(key).__name__.lstrip('_')}")
    return key


def _dtype(machine: Machine, *arguments: Any) -> _DType:
    return _DType(*arguments)


def _reconstruct(machine: Machine, subtype: Any, shape: Any, dtype: Any) -> _Array:
    return _Array()


def _from_buffer(machine: Machine, data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    if order not in ("C", "F"):
        raise ValueError("an array in no order")
    array = _Array()
    array.fill(data, dtype, shape, order)
    return array


def _scalar(machine: Machine, dtype: Any, data: Any) -> Any:
    array = _Array()
    array.fill(machine.as_bytes(data), dtype, (), "C")
    return array.array[()]


def _encode(machine: Machine, text: Any, encoding: Any) -> bytes | _LongText:
    """How protocol 2 writes bytes: always as latin-1 text."""
    if not isinstance(text, str | _LongText) or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in another encoding than latin-1")
    return machine.as_bytes(text)


def _bytes(kind: type) -> Callable[..., Any]:
    def call(machine: Machine, data: Any = b"", encoding: Any = None) -> Any:
        data = _encode(machine, data, encoding) if encoding is not None else data
        if not isinstance(data, bytes | bytearray):
            raise ValueError(f"a {kind.__name__} that is not made of bytes")
        machine.copy(len(data))
        return kind(data)

    return call


def _items(kind: type) -> Callable[..., Any]:
    def call(machine: Machine, items: Any = ()) -> Any:
        if not isinstance(items, list | tuple | set | frozenset):
            raise ValueError(f"a {kind.__name__} that is not made of values")
        machine.copy(CONTAINER_BYTES + ITEM_BYTES * len(items))
        return kind(items if kind is tuple else map(_plain_key, items))

    return call


def _ordered_dict(machine: Machine, pairs: Any = ()) -> OrderedDict:
    if not isinstance(pairs, list | tuple):
        raise ValueError("an OrderedDict that is not made of pairs")
    machine.copy(CONTAINER_BYTES + ITEM_BYTES * len(pairs))
    return OrderedDict((_plain_key(key), value) for key, value in pairs)


def _complex(machine: Machine, real: Any, imaginary: Any) -> complex:
    if not isinstance(real, float | int) or not isinstance(imaginary, float | int):
        raise ValueError("a complex number that is not made of numbers")
    return complex(real, imaginary)


def _no_call(machine: Machine, *arguments: Any) -> None:
    raise ValueError("an array made by its class")


NUMPY_NAMES = {
    ("numpy", "ndarray"): Allowed(_no_call),
    ("numpy", "dtype"): Allowed(_dtype),
    ("_codecs", "encode"): Allowed(_encode),
    ("collections", "OrderedDict"): Allowed(_ordered_dict),
    **{
        (f"numpy.{core}.{module}", name): Allowed(stand_in)
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    **{
        (module, name): Allowed(call)
        for module in ("builtins", "__builtin__")
        for name, call in {
            "bytearray": _bytes(bytearray),
            "bytes": _bytes(bytes),
            "complex": _complex,
            "frozenset": _items(frozenset),
            "set": _items(set),
            "tuple": _items(tuple),
        }.items()
    },
}

_U1, _U2, _U4, _U8 = (struct.Struct(layout) for layout in ("<B", "<H", "<I", "<Q"))
_I4, _DOUBLE = struct.Struct("<i"), struct.Struct(">d")


def _integer(machine: Machine, size: int) -> int:
    if size > 9:
        raise ValueError(f"a number of {size:,} bytes")
    return int.from_bytes(machine.take(size), "little", signed=True)


def _text_integer(machine: Machine) -> int | bool:
    """How Python 2 writes what takes more than 32 bits; the two with a leading zero are truth values."""
    text = machine.line()
    if len(text) > 20:
        raise ValueError(f"a number of {len(text)} digits")
    return {"00": False, "01": True}.get(text, int(text))


def _tuple(machine: Machine, count: int) -> tuple:
    if len(machine.stack) < count:
        raise ValueError("a tuple of more than there is")
    items = tuple(machine.stack[-count:])
    del machine.stack[-count:]
    return items


def _container(machine: Machine, kind: type) -> Any:
    machine.copy(CONTAINER_BYTES)
    return kind()


INSTRUCTIONS: dict[bytes, Callable[[Machine], None]] = {
    pickle.PROTO: lambda m: m.take(1) and None,
    pickle.FRAME: lambda m: m.take(8) and None,
    pickle.MARK: lambda m: m.marks.append(len(m.stack)),
    pickle.POP: lambda m: m.stack.pop() and None,
    pickle.POP_MARK: lambda m: m.pop_mark() and None,
    pickle.DUP: lambda m: m.push(m.stack[-1]),
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.push(m.number(_I4)),
    pickle.BININT1: lambda m: m.push(m.number(_U1)),
    pickle.BININT2: lambda m: m.push(m.number(_U2)),
    pickle.LONG1: lambda m: m.push(_integer(m, m.number(_U1))),
    pickle.LONG4: lambda m: m.push(_integer(m, m.number(_U4))),
    pickle.INT: lambda m: m.push(_text_integer(m)),
    pickle.BINFLOAT: lambda m: m.push(m.number(_DOUBLE)),
    pickle.SHORT_BINSTRING: lambda m: m.push(m.string(m.number(_U1))),
    pickle.BINSTRING: lambda m: m.push(m.string(m.number(_U4))),
    pickle.SHORT_BINBYTES: lambda m: m.push(m.take(m.number(_U1))),
    pickle.BINBYTES: lambda m: m.push(m.take(m.number(_U4))),
    pickle.BINBYTES8: lambda m: m.push(m.take(m.number(_U8))),
    pickle.BYTEARRAY8: lambda m: m.push(m.take_array(m.number(_U8))),
    pickle.SHORT_BINUNICODE: lambda m: m.push(m.text(m.number(_U1))),
    pickle.BINUNICODE: lambda m: m.push(m.text(m.number(_U4))),
    pickle.BINUNICODE8: lambda m: m.push(m.text(m.number(_U8))),
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE1: lambda m: m.push_tuple(_tuple(m, 1)),
    pickle.TUPLE2: lambda m: m.push_tuple(_tuple(m, 2)),
    pickle.TUPLE3: lambda m: m.push_tuple(_tuple(m, 3)),
    pickle.TUPLE: lambda m: m.push_tuple(tuple(m.pop_mark())),
    pickle.EMPTY_LIST: lambda m: m.push(_container(m, list)),
    pickle.EMPTY_DICT: lambda m: m.push(_container(m, dict)),
    pickle.EMPTY_SET: lambda m: m.push(_container(m, set)),
    pickle.FROZENSET: lambda m: m.push(frozenset(map(_plain_key, m.pop_mark()))),
    pickle.APPEND: lambda m: m.append([m.stack.pop()]),
    pickle.APPENDS: lambda m: m.append(m.pop_mark()),
    pickle.SETITEM: lambda m: m.set_items(list(_tuple(m, 2))),
    pickle.SETITEMS: lambda m: m.set_items(m.pop_mark()),
    pickle.ADDITEMS: lambda m: m.add_items(m.pop_mark()),
    pickle.BINPUT: lambda m: m.remember(m.number(_U1)),
    pickle.LONG_BINPUT: lambda m: m.remember(m.number(_U4)),
    pickle.MEMOIZE: lambda m: m.remember(len(m.memo)),
    pickle.BINGET: lambda m: m.push(m.memo[m.number(_U1)]),
    pickle.LONG_BINGET: lambda m: m.push(m.memo[m.number(_U4)]),
    pickle.GLOBAL: lambda m: m.name(m.line(), m.line()),
    pickle.STACK_GLOBAL: lambda m: m.name(*_tuple(m, 2)),
    pickle.BINPERSID: Machine.outside,
    pickle.REDUCE: Machine.reduce,
    pickle.BUILD: Machine.build,
}


def plain(value: Any) -> Any:
    """What a ``Machine`` made, with arrays in place of stand-ins.

    Raises:
        ValueError: it is nested too deep, or holds something else than arrays, numbers, texts and containers.
    """
    return _plain(value, {}, 0)


def _plain(value: Any, done: dict[int, Any], depth: int) -> Any:
    """``done`` holds what was met before, by identity."""
    if isinstance(value, StandIn):
        return value.array
    if isinstance(value, dict | list | tuple | set | frozenset):
        if id(value) not in done:
            if depth > DEPTH:
                raise ValueError(f"it is nested more than {DEPTH} deep")
            done[id(value)] = None  # what contains itself ends here
            done[id(value)] = _plain_container(value, done, depth + 1)
        return done[id(value)]
    if isinstance(value, None | bool | int | float | complex | str | bytes | bytearray | np.generic):
        return value
    raise ValueError(f"a stray {type(value).__name__.lstrip('_')}")


def _plain_container(value: Any, done: dict[int, Any], depth: int) -> Any:
    if isinstance(value, set | frozenset):
        return value
    if isinstance(value, dict):
        for key, item in value.items():
            value[key] = _plain(item, done, depth)
        return value
    items = [_plain(item, done, depth) for item in value]
    if not isinstance(value, tuple):
        return items
    if len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], np.ndarray):
        return items[1]  # how Paddle 2.1 and later write a tensor inside a nested object
    return tuple(items)


def _join_split_tensors(loaded: dict[str, Any], machine: Machine) -> dict[str, Any]:
    """Put tensors together that protocols 2 and 3 split because they exceed 1 GiB."""
    left = machine.size
    for name, info in loaded.pop(SPLIT_TENSORS, {}).items():
        slices = [loaded.pop(part) for part in info["slices"]]
        left -= sum(part.nbytes for part in slices)
        if left < 0:
            raise ValueError("tensors of more bytes than the file has")
        loaded[name] = np.concatenate(slices).reshape(info["OriginShape"])
    return loaded
