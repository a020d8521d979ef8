"""Read what ``torch.save`` writes, tensors only: the zip files of PyTorch 1.6 and later, and the files before them.

Both hold a pickle in which a tensor is a call, "rebuild a tensor of this shape and these strides from that storage",
and a storage is named, its bytes lying elsewhere in the file. The pickle runs on the restricted ``Machine`` of
``safe_pickle``: the names below are all it may use, nothing of PyTorch's is imported, nothing is executed. A tensor
has no more elements than its storage, so that a few bytes cannot stand for gigabytes.
"""

import contextlib
import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from imgcls.errors import UserError
from imgcls.machine.limits import COPIES_BYTES, DIMENSIONS, TENSORS
from imgcls.machine.reading import shown
from imgcls.machine.zip_archive import open_archive, read_into, require_bounded
from imgcls.weights.safe_pickle import NUMPY_NAMES, Allowed, Machine, NameRefused, StandIn, plain

LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""The pickle of a number of ten bytes, PyTorch's magic one."""

STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",  # as Paddle keeps bfloat16 in numpy, and adapt.to_float32 reads it
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Storage:
    """Elements in a row; ``values`` may come later than the tensors made of them."""

    def __init__(self, dtype: np.dtype, count: int):
        self.dtype, self.count = dtype, count
        self.values: np.ndarray | None = None


class _Tensor(StandIn):
    """A view of a storage."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any):
        whole = (offset, *shape, *strides) if isinstance(shape, tuple) and isinstance(strides, tuple) else (None,)
        if not isinstance(storage, _Storage) or not all(type(size) is int and 0 <= size < 1 << 40 for size in whole):
            raise ValueError("a tensor without a storage, shape or strides")
        if len(shape) != len(strides) or len(shape) > DIMENSIONS:
            raise ValueError("a tensor whose shape is none")
        count = math.prod(shape)
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if count and (count > storage.count or last >= storage.count):
            raise ValueError(f"a tensor of shape {shape} on a storage of {storage.count:,} elements")
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    @property
    def array(self) -> np.ndarray:
        values, dtype = self.storage.values, self.storage.dtype
        if values is None:
            raise ValueError("a storage that is not in the file")
        if not math.prod(self.shape):
            return np.empty(self.shape, dtype)
        strides = [stride * dtype.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False)


def _rebuild_tensor(machine: Machine, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> _Tensor:
    """Whether it wants gradients, its hooks and its metadata are not for weights."""
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(machine: Machine, data: Any, *rest: Any) -> Any:
    return data


TORCH_NAMES = {
    **NUMPY_NAMES,
    **{("torch", name): np.dtype(code) for name, code in STORAGES.items()},
    ("torch", "Size"): NUMPY_NAMES["builtins", "tuple"],
    ("torch._utils", "_rebuild_tensor"): Allowed(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Allowed(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Allowed(_rebuild_parameter),
}


def is_legacy(start: bytes) -> bool:
    """Whether a file that begins like this is one of PyTorch before 1.6."""
    return start.startswith(LEGACY_START)


def is_torch_archive(names: list[str]) -> bool:
    """Whether a zip file with these members is PyTorch's, by ``torch.save`` or ``torch.jit.save``."""
    return any(name.endswith("/data.pkl") for name in names)


def read_legacy(file: BinaryIO, path: Path) -> Any:
    """What a file of PyTorch before 1.6 holds: containers, numbers, texts and arrays.

    Raises:
        UserError: it is damaged, or asks for anything but tensors.
    """
    size = os.fstat(file.fileno()).st_size
    storages: dict[str, _Storage] = {}
    parts: list[tuple[_Storage, _Storage, int]] = []

    def persistent(identification: Any) -> _Storage:
        whole, _, view = _identified(identification, storages)
        if view is None:
            return whole
        _, offset, length = view
        if not all(type(number) is int and number >= 0 for number in view[1:]) or offset + length > whole.count:
            raise ValueError("a view beyond its storage")
        parts.append((_Storage(whole.dtype, length), whole, offset))
        return parts[-1][0]

    with _words(path):
        file.seek(len(LEGACY_START))
        if Machine(file, path, size, {}).run() != 1001:
            raise ValueError("a version of the format that is not known")
        if not isinstance(about := Machine(file, path, size, {}).run(), dict):
            raise ValueError("it does not say on what machine it was written")
        if about.get("little_endian") is not True:
            raise ValueError("it was written on a machine of the other byte order")
        made = Machine(file, path, size, TORCH_NAMES, persistent).run()
        reader = Machine(file, path, size, {})
        keys = reader.run()
        if not isinstance(keys, list) or len(keys) != len(storages) or set(keys) != set(storages):
            raise ValueError("it lists other storages than its tensors have")
        for key in keys:
            storage = storages[key]
            if int.from_bytes(reader.take(8), "little") != storage.count:
                raise ValueError("a storage of another length than its tensors say")
            storage.values = np.frombuffer(reader.take_array(storage.count * storage.dtype.itemsize), storage.dtype)
        for part, whole, offset in parts:
            part.values = whole.values[offset : offset + part.count]
        return plain(made)


def read_archive(file: BinaryIO, path: Path) -> Any:
    """What a file of PyTorch 1.6 or later holds: containers, numbers, texts and arrays.

    Raises:
        UserError: it is damaged, a program of TorchScript, or asks for anything but tensors.
    """
    size = os.fstat(file.fileno()).st_size
    with _words(path), open_archive(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        require_bounded(list(entries.values()), size)
        pickled = next(name for name in entries if name.endswith("/data.pkl"))
        prefix = pickled.removesuffix("data.pkl")
        if f"{prefix}constants.pkl" in entries:
            raise UserError(
                f"{path} is a program of TorchScript (torch.jit.save); nothing of it was executed. Save the weights "
                "alone: torch.save(network.state_dict(), 'weights.pth')."
            )
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise ValueError("it is compressed, as PyTorch never does")
        order = _member(archive, entries, f"{prefix}byteorder", 16) if f"{prefix}byteorder" in entries else b"little"
        storages: dict[str, _Storage] = {}

        def persistent(identification: Any) -> _Storage:
            storage, key, _ = _identified(identification, storages)
            if storage.values is None:
                content = _member(archive, entries, f"{prefix}data/{key}", size)
                if len(content) != storage.count * storage.dtype.itemsize:
                    raise ValueError(f"the storage {shown(key)} has not the bytes that its tensors say")
                stored = storage.dtype.newbyteorder(">" if order.strip() == b"big" else "<")
                storage.values = np.frombuffer(content, stored).astype(storage.dtype, copy=False)
            return storage

        content = _member(archive, entries, pickled, COPIES_BYTES)
        return plain(Machine(io.BytesIO(content), path, len(content), TORCH_NAMES, persistent).run())


def state_dict(loaded: Any, path: Path) -> dict[str, np.ndarray]:
    """The tensors by name, from a state dict or from a checkpoint around one, without a wrapper's ``module.``.

    Raises:
        UserError: there is no state dict.
    """
    places = [loaded, *(loaded.get(name) for name in WRAPPERS)] if isinstance(loaded, dict) else []
    for place in places:
        if isinstance(place, dict) and (arrays := _arrays(place)):
            if all(name.startswith("module.") for name in arrays):
                return {name.removeprefix("module."): array for name, array in arrays.items()}
            return arrays
    found = ", ".join(shown(str(name)) for name in list(loaded)[:5]) if isinstance(loaded, dict) else "no dict"
    raise UserError(
        f"{path} is not a dict of tensors ({found}). Save the weights alone: torch.save(network.state_dict(), "
        "'weights.pth')."
    )


WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Where checkpoints of training scripts keep the network, the first one that is there."""


def write_torch(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A state dict of float32 and int64 tensors, as ``torch.save`` writes one and ``torch.load`` reads it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickled(arrays))
        archive.writestr("archive/byteorder", "little")
        for number, array in enumerate(arrays.values()):
            values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            with archive.open(f"archive/data/{number}", "w", force_zip64=values.nbytes > 1 << 31) as member:
                member.write(values.reshape(-1).view(np.uint8).data)
        archive.writestr("archive/version", "3\n")


def _pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The pickle of protocol 2 that rebuilds each tensor from the storage of its number."""
    parts = [b"\x80\x02", ORDERED_DICT, b"("]
    for number, (name, array) in enumerate(arrays.items()):
        kind = next(kind for kind, code in STORAGES.items() if np.dtype(code) == array.dtype)
        strides = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
        storage = [_text("storage"), f"ctorch\n{kind}\n".encode(), _text(str(number)), _text("cpu"), _int(array.size)]
        parts += [_text(name), b"ctorch._utils\n_rebuild_tensor_v2\n(", b"(", *storage, b"tQ", _int(0)]
        parts += [b"(", *map(_int, array.shape), b"t(", *map(_int, strides), b"t\x89", ORDERED_DICT, b"tR"]
    return b"".join([*parts, b"u."])


ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def _text(value: str) -> bytes:
    content = value.encode()
    return b"X" + len(content).to_bytes(4, "little") + content


def _int(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little") if value < 1 << 31 else b"\x8a\x08" + value.to_bytes(8, "little")


def _arrays(place: Mapping[Any, Any]) -> dict[str, np.ndarray] | None:
    """``None`` where anything in it is no tensor."""
    if not all(isinstance(name, str) and isinstance(value, np.ndarray) for name, value in place.items()):
        return None
    return dict(place)


def _member(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str, limit: int) -> bytearray:
    entry = entries.get(name)
    if entry is None or entry.file_size > limit:
        raise ValueError(f"its member {shown(name)} is missing or too long")
    content = bytearray(entry.file_size)
    with archive.open(entry) as member:
        read_into(member, memoryview(content), shown(name))
    return content


def _identified(identification: Any, storages: dict[str, _Storage]) -> tuple[_Storage, str, Any]:
    """The one storage of a key, its key, and which part of it an old file means: ``None`` for all of it."""
    if not isinstance(identification, tuple) or len(identification) not in (5, 6) or identification[0] != "storage":
        raise ValueError("a reference to something else than a storage")
    _, dtype, key, _, count, *view = identification
    if not isinstance(dtype, np.dtype) or type(count) is not int or not 0 <= count < 1 << 40:
        raise ValueError("a storage without a type or a length")
    if not isinstance(key, str) or len(storages) > TENSORS:
        raise ValueError("a storage without a name, or too many of them")
    storage = storages.setdefault(key, _Storage(dtype, count))
    if storage.dtype != dtype or storage.count != count:
        raise ValueError("one storage of two kinds")
    if view and view[0] is not None and (not isinstance(view[0], tuple) or len(view[0]) != 3):
        raise ValueError("a view that says not of what")
    return storage, key, view[0] if view else None


@contextlib.contextmanager
def _words(path: Path) -> Iterator[None]:
    """Whatever damage raises, in one sentence; what a pickle asks for beyond tensors, with what to do."""
    try:
        yield
    except NameRefused as error:
        raise UserError(
            f"{error} A checkpoint of training may hold more than weights: where it was made, save the weights "
            "alone, torch.save(network.state_dict(), 'weights.pth')."
        ) from None
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except Exception as error:  # damaged bytes raise nearly anything
        raise UserError(f"{path} is damaged or cut short ({shown(f'{type(error).__name__}: {error}', 200)}).") from None
