"""Sets of variables as PaddlePaddle 1.x (fluid) stored them: a directory, a tar, an inference model.

In a directory and in a published ``*_pretrained.tar`` each variable is one file whose name is the
variable's; a slash in the name makes a sub-directory. The parameter file of an inference model
holds the records one after the other without names, in the sorted order of the persistable
variables of its program. ``fluid_record`` knows a single record.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from imgcls.errors import UserError
from imgcls.machine.files import atomic_write
from imgcls.machine.limits import NAME_BYTES, PROGRAM_BYTES, PROGRAM_FIELDS, TAR_HEADER_BYTES, TENSORS, WEIGHTS_BYTES
from imgcls.machine.reading import open_regular, read_bytes, shown
from imgcls.machine.tar import Member, members
from imgcls.weights.file_header import describe_start
from imgcls.weights.fluid.protobuf import Message, fields
from imgcls.weights.fluid.record import HEAD_BYTES, decode, decode_only, encode, require_record

Arrays = dict[str, np.ndarray]

LOD_TENSOR = 7  # the kind of variable that holds values; feed, fetch and readers are others


def read_variable(file: str | Path) -> np.ndarray:
    """The one variable that ``file`` holds.

    Raises:
        UserError: the file cannot be read, is no record, ends early or goes on after the record.
    """
    with _os_errors(f"Cannot read {file}"), open_regular(file) as opened:
        return _read_record(opened, 0, os.fstat(opened.fileno()).st_size, str(file))


def write_variable(file: str | Path, array: np.ndarray) -> None:
    """Write ``array`` as the only record of ``file``; missing directories are made."""
    file = Path(file)
    record = encode(array, str(file))
    with _os_errors(f"Cannot write the variable {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(record)


def read_directory(directory: str | Path) -> Arrays:
    """Every variable under a directory by name; hidden files are left alone.

    Raises:
        UserError: there is no such directory, it holds nothing, or a file in it is no variable.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError(f"There is no directory {directory} to read variables from.")
    files, total = {}, 0
    for file in directory.rglob("*"):
        if file.is_file():
            files[_variable_name(os.fsencode(file.relative_to(directory)))] = file
            total += file.stat().st_size
            if total > WEIGHTS_BYTES or len(files) > TENSORS:
                raise UserError(
                    f"{directory} is no directory of weights: more than {WEIGHTS_BYTES >> 30} GiB or {TENSORS:,} files."
                )
    arrays = {name: read_variable(file) for name, file in sorted(files.items()) if not _is_hidden(name)}
    if not arrays:
        raise UserError(f"{directory} holds no files: one file per variable is expected.")
    return arrays


def write_directory(directory: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write one file per variable, the whole directory or nothing.

    What ``read_directory`` gave comes out bit for bit as it was.

    Raises:
        UserError: the directory exists and is not empty, a name is no relative path, or the system refuses.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory} exists already. Name a new or an empty directory for the variables.")
    for name in arrays:
        if not _is_inside(name):
            raise UserError(f"The variable name {name!r} cannot be a file name under {directory}.")
    with _os_errors(f"Cannot write the variables to {directory}"), atomic_write(directory) as partial:
        partial.mkdir(parents=True)
        for name, array in arrays.items():
            write_variable(partial / name, array)


def read_tar(path: str | Path) -> Arrays:
    """Every variable of a ``*_pretrained.tar``; nothing is unpacked to disk.

    The directories that all files share are not part of the names.

    Raises:
        UserError: not a tar (a compressed one counts as none), cut short, too large, or with a
            member that is no plain file inside of it.
    """
    path = Path(path)
    with _open_tar(path) as archive:
        arrays = {
            name: _read_record(archive, member.offset, member.size, f"{path}, member {name!r}")
            for name, member in _variables(archive, path)
        }
    shared = len(PurePosixPath(os.path.commonpath([PurePosixPath(name).parent for name in arrays])).parts)
    return {"/".join(PurePosixPath(name).parts[shared:]): array for name, array in arrays.items()}


def check_tar(path: str | Path) -> None:
    """Raise what ``read_tar`` would raise, without reading the values of the variables."""
    path = Path(path)
    with _open_tar(path) as archive:
        for name, member in _variables(archive, path):
            archive.seek(member.offset)
            start = archive.read(min(member.size, HEAD_BYTES))
            require_record(start, member.size, f"{path}, member {name!r}")


def read_inference_model(model_file: str | Path, params_file: str | Path) -> Arrays:
    """Parameters of a saved inference model: ``model_file`` gives the names, ``params_file`` the values.

    Raises:
        UserError: one of the files is damaged, or the two do not belong together.
    """
    names = _persistable_names(Path(model_file))
    data = _read_bytes(Path(params_file), WEIGHTS_BYTES)
    arrays: Arrays = {}
    position = 0
    for name in names:
        if position >= len(data):
            raise UserError(f"{params_file} holds {len(arrays)} variables, but {model_file} names {len(names)}.")
        arrays[name], position = decode(data, f"{params_file}, variable '{name}'", position)
    if position != len(data):
        raise UserError(f"{params_file} goes on after the {len(names)} variables that {model_file} names.")
    return arrays


def _persistable_names(model_file: Path) -> list[str]:
    """Sorted names of the variables with values in a program (ProgramDesc in Paddle's framework.proto)."""
    names = set()
    left = PROGRAM_FIELDS

    def within(message: Message) -> Iterator[tuple[int, int | Message]]:
        nonlocal left
        for number, value in fields(message):
            left -= 1
            if left < 0:
                raise ValueError(f"more than {PROGRAM_FIELDS:,} fields")
            yield number, value

    try:
        program = memoryview(_read_bytes(model_file, PROGRAM_BYTES))
        for block in _messages(within(program), 1):
            for variable in _messages(within(block), 3):
                parts = dict(within(variable))  # 1 the name, 2 the type, 3 whether it is persistable
                if parts.get(3) and dict(within(_message(parts[2]))).get(1) == LOD_TENSOR:
                    name = bytes(_message(parts[1]))
                    if not 0 < len(name) <= NAME_BYTES:
                        raise ValueError(f"a name of {len(name):,} bytes")
                    names.add(name.decode())
    except (ValueError, KeyError) as error:
        reason = shown(str(error), 200)
        raise UserError(f"{model_file} is not a saved program ({reason}); {describe_start(model_file)}.") from None
    if not names:
        raise UserError(f"{model_file} is a program without parameters; {describe_start(model_file)}.")
    return sorted(names)


def _messages(found: Iterator[tuple[int, int | Message]], wanted: int) -> Iterator[Message]:
    return (_message(value) for number, value in found if number == wanted)


def _message(value: int | Message) -> Message:
    if isinstance(value, int):
        raise ValueError("a number where a message or a name should be")
    return value


@contextlib.contextmanager
def _open_tar(path: Path) -> Iterator[BinaryIO]:
    try:
        with _os_errors(f"Cannot read {path}"), open_regular(path) as archive:
            yield archive
    except ValueError as error:
        raise UserError(f"{path} is not a whole, uncompressed tar file ({error}); {describe_start(path)}.") from None


def _variables(archive: BinaryIO, path: Path) -> Iterator[tuple[str, Member]]:
    """Variable names and files of an archive, provided that everything else in it is a directory."""
    found = 0
    for count, member in enumerate(members(archive, str(path), TAR_HEADER_BYTES, WEIGHTS_BYTES), start=1):
        name = _variable_name(member.path)
        if member.kind == "other":
            raise UserError(f"{path} is refused: its member {shown(name)!r} is a link or a special file.")
        if count > TENSORS:
            raise UserError(f"{path} is refused: more than {TENSORS:,} members.")
        if len(member.path) > NAME_BYTES:
            raise UserError(f"{path} is refused: its member {shown(name)!r} has a name of {len(member.path):,} bytes.")
        location = PurePosixPath(name).as_posix()
        is_directory = member.kind == "directory" or name.endswith("/")
        if not _is_inside(location) and not (location == "." and is_directory):
            raise UserError(f"{path} is refused: its member {shown(name)!r} lies outside of it.")
        if not is_directory and not _is_hidden(location):
            found += 1
            yield location, member
    if not found:
        raise UserError(f"{path} is a tar without files: one file per variable is expected.")


def _read_record(file: BinaryIO, offset: int, size: int, where: str) -> np.ndarray:
    """The one record in a part of a file, whose head is looked at before the rest is read."""
    file.seek(offset)
    start = file.read(min(size, HEAD_BYTES))
    require_record(start, size, where)
    file.seek(offset)
    return decode_only(file.read(size), where)


def _is_inside(name: str) -> bool:
    """Whether ``name`` is a path below a directory, whatever the directory."""
    return "\0" not in name and all(part not in ("", ".", "..") for part in name.split("/"))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _variable_name(path: bytes) -> str:
    """A name that is not UTF-8 was written byte by byte, by Python 2 (Res2Net200_vd counts up to U+0090)."""
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        return path.decode("latin-1")


def _read_bytes(file: Path, limit: int) -> bytes:
    with _os_errors(f"Cannot read {file}"):
        return read_bytes(file, limit)


@contextlib.contextmanager
def _os_errors(message: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{message}: {error.strerror or error}.") from None
