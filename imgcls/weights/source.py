"""Where weights come from: find the file behind a path a user gave, and read it whatever its format."""

import os
import pickle
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from imgcls.errors import UserError, listed
from imgcls.machine.files import sha256
from imgcls.machine.limits import NAME_BYTES
from imgcls.machine.npz import read_arrays
from imgcls.machine.reading import open_regular, read_json, shown
from imgcls.machine.zip_archive import ERRORS, open_archive
from imgcls.weights import torch_file
from imgcls.weights.file_header import describe_start
from imgcls.weights.fluid import files as fluid
from imgcls.weights.hub import FILES, architecture, fetch_from_hub, is_hub_name
from imgcls.weights.safe_pickle import NAME_TABLE, load_pickle, only_arrays
from imgcls.weights.safetensors_file import is_safetensors, read_safetensors

Naming = Literal["structured", "fluid"]

NETWORK_FILE, MANIFEST = "network.pdparams", "manifest.json"  # in a checkpoint directory of this library
PREFERRED_CHECKPOINTS = ("checkpoints/best", "checkpoints/last", "best", "last")  # of a run directory
INFERENCE_PAIRS = (
    ("model", "params"),
    ("__model__", "__params__"),
    ("inference.pdmodel", "inference.pdiparams"),
    ("inference.json", "inference.pdiparams"),
)


class Weights(NamedTuple):
    """Tensors by name, and what the names are.

    ``structured``: keys of a ``state_dict``. ``fluid``: variable names of the 1.x library.
    ``None``: the file does not say; the network decides by which of its names occur.

    ``maker``: whose tool wrote the file, where another library may have; ``variables``: the variable names that a
    file of Paddle keeps beside its own; ``architecture``: as timm calls it, where a ``config.json`` beside the file
    says so.
    """

    arrays: dict[str, np.ndarray]
    naming: Naming | None
    maker: Literal["paddle", "torch"] | None = None
    variables: Mapping[str, str] = MappingProxyType({})
    architecture: str | None = None


def read_weights(path: str | Path) -> Weights:
    """Tensors from any place that ``model.pretrained`` may name.

    A ``.pdparams`` file (of Paddle 2.x, of this library or of ``fluid.save``), a ``.pth`` of ``torch.save`` (a
    state dict, or a checkpoint around one), a ``.safetensors`` file, an ``.npz`` of arrays, a directory
    with one fluid variable per file, a published ``*_pretrained.tar``, the directory of an inference
    model, a checkpoint or run directory of this library (its best checkpoint, else its last). A training
    checkpoint of the original gives everything in it, state included.

    Raises:
        UserError: there is nothing there, or it is damaged, refused, of no known format, or takes more
            than ``machine.limits`` allow.
    """
    path = locate_weights(path)
    weights = _read_directory(path) if path.is_dir() else _read_file(path)
    if long := next((name for name in weights.arrays if len(name) > NAME_BYTES), None):
        raise UserError(f"{path} is refused: the name {shown(long)!r} of a tensor has {len(long):,} characters.")
    return weights


def locate_weights(path: str | Path) -> Path:
    """The file or directory that holds the tensors behind a path a user gave.

    Raises:
        UserError: there is nothing at ``path``, and the message says what would be accepted; the hub has no such
            weights; or the weights of the checkpoint there are not those that its manifest lists.
    """
    if is_hub_name(path):
        return fetch_from_hub(str(path))
    path = Path(os.path.expanduser(path))
    if not os.path.exists(path):  # which takes a name that no file can have for one that is not there
        with_suffix = path.with_name(path.name + ".pdparams")  # fluid.save and old scripts leave it out
        if os.path.isfile(with_suffix):
            return with_suffix
        raise UserError(
            f"There are no weights at {path}. Expected there: a .pdparams, .pth, .safetensors or .npz file, a "
            "*_pretrained.tar, a directory with one fluid variable per file, an inference model, or a checkpoint or "
            "run directory."
        )
    if path.is_dir():
        for candidate in (path, *(path / name for name in PREFERRED_CHECKPOINTS)):
            if (candidate / NETWORK_FILE).is_file():
                _require_recorded(candidate / NETWORK_FILE)
                return candidate / NETWORK_FILE
        if found := next((path / name for name in FILES if (path / name).is_file()), None):
            return found
        if (path / "checkpoints").is_dir():
            looked_for = " or ".join(f"{name}/{NETWORK_FILE}" for name in PREFERRED_CHECKPOINTS[:2])
            raise UserError(f"The run directory {path} has no checkpoint yet: there is no {looked_for} in it.")
    return path


def is_of_the_original(path: Path) -> bool:
    """Whether weights, at a place that ``locate_weights`` gave, are in a format that only the original wrote."""
    if path.is_dir():
        return not any((path / name).is_file() for name in INFERENCE_PAIRS[-1])
    try:
        with open_regular(path) as file:
            return _is_tar(path, file.read(512))
    except OSError:
        return False


def _is_tar(path: Path, start: bytes) -> bool:
    return start[257:262] == b"ustar" or path.suffix == ".tar"


def _require_recorded(file: Path) -> None:
    """Weights of a checkpoint are those its manifest lists; ``run.checkpoint`` looks at all of its files."""
    manifest = file.with_name(MANIFEST)
    if not manifest.is_file():
        return
    content = read_json(manifest)
    recorded = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(recorded, dict) or recorded.get(file.name) != sha256(file):
        raise UserError(f"{file} is damaged: its sha256 is not in {manifest}. Name another checkpoint of the run.")


def _read_directory(path: Path) -> Weights:
    for model, params in INFERENCE_PAIRS:
        if (path / model).is_file() and (path / params).is_file():
            return Weights(fluid.read_inference_model(path / model, path / params), "fluid")
    try:
        return Weights(fluid.read_directory(path), "fluid")
    except UserError as error:
        raise UserError(
            f"{path} is no run, no checkpoint and no inference model; as a directory of fluid variables it cannot "
            f"be read: {error}"
        ) from error


def _read_file(path: Path) -> Weights:
    """Formats are told apart by how the file begins, not by its suffix."""
    try:
        with open_regular(path) as file:
            start = file.read(512)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    if is_safetensors(start):
        with open_regular(path) as file:
            arrays, metadata = read_safetensors(file, path)
        return Weights(arrays, None, "torch", architecture=metadata.get("architecture") or architecture(path))
    if torch_file.is_legacy(start):
        return _read_torch(path, torch_file.read_legacy)
    if start.startswith(pickle.PROTO):
        return _read_pickle(path)
    if start.startswith(b"PK"):
        return _read_zip(path)
    if _is_tar(path, start):
        return Weights(fluid.read_tar(path), "fluid")
    hint = " A single fluid variable is loaded through its directory." if start.startswith(bytes(12)) else ""
    raise UserError(
        f"{path} is no file of weights: {describe_start(path)}. "
        f"Expected a .pdparams, .pth, .safetensors or .npz file or an uncompressed tar.{hint}"
    )


def _read_pickle(path: Path) -> Weights:
    loaded = load_pickle(path, keep_name_table=True)
    naming = "structured" if NAME_TABLE in loaded else None
    variables = loaded.pop(NAME_TABLE, None)
    if not isinstance(variables, dict) or not all(isinstance(name, str) for name in variables.values()):
        variables = {}
    if not only_arrays(loaded) or not loaded:
        others = [
            f"{shown(str(name))} ({type(value).__name__})"
            for name, value in loaded.items()
            if not isinstance(name, str) or not isinstance(value, np.ndarray)
        ]
        found = listed(others) or "nothing"
        raise UserError(
            f"{path} is not a dict of tensors: it holds {found}. Save network.state_dict() with paddle.save."
        )
    return Weights(loaded, naming, "paddle", variables)


def _read_torch(path: Path, read: Callable[[BinaryIO, Path], Any]) -> Weights:
    with open_regular(path) as file:
        arrays = torch_file.state_dict(read(file, path), path)
    return Weights(arrays, None, "torch", architecture=architecture(path))


def _read_zip(path: Path) -> Weights:
    """Of ``numpy.savez`` or of ``torch.save``."""
    try:
        with open_regular(path) as file:
            with open_archive(file) as archive:
                is_torch = torch_file.is_torch_archive(archive.namelist())
            if is_torch:
                return _read_torch(path, torch_file.read_archive)
            file.seek(0)
            arrays = read_arrays(file)
    except UserError:
        raise
    except (*ERRORS, zlib.error) as error:
        raise UserError(
            f"{path} is not an .npz file of numeric arrays, nor one of torch.save ({shown(str(error), 200)})."
        ) from None
    if not arrays:
        raise UserError(
            f"{path} is a zip file, but not an .npz of arrays nor a file of torch.save; {describe_start(path)}."
        )
    return Weights(arrays, None)
