"""From a network to an export directory: whole or absent, and checked against the network before it is published."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.deploy import onnx_graph, openvino_graph
from imgcls.deploy.agreement import bundled_photos
from imgcls.deploy.contract import Contract, model_files, require_replaceable, write_contract
from imgcls.deploy.engines import CHECKED_WITH
from imgcls.deploy.graph import OTHER_SIZE, evaluation_mode, name_in_graph, save_graph
from imgcls.deploy.onnx_graph import require_onnx
from imgcls.deploy.openvino_engine import require_openvino
from imgcls.deploy.predictor import NetworkPredictor, Predictor, open_export
from imgcls.errors import UserError, listed
from imgcls.machine.files import atomic_write, beside, sha256
from imgcls.models.layers import Network
from imgcls.run.lock import held
from imgcls.weights.fluid.files import read_inference_model

CONVERTERS = {"onnx": onnx_graph.convert, "openvino": openvino_graph.convert}
"""From Paddle's files to those of other kinds of graph."""

TOLERANCE = 1e-4
"""Largest accepted difference from the network's answers, relative to their range."""


class ExportDiffers(UserError):
    """The exported graph does not give the network's answers."""


def export(
    network: Network,
    contract: Contract,
    directory: str | Path,
    images: np.ndarray | None = None,
    graph: str = "paddle",
    quantize: Callable[[Path, Contract], Mapping[str, Any]] | None = None,
) -> dict[str, float]:
    """Write a graph's model files and ``inference.yaml``.

    The batch size is left open. The network is left as it was, modes, methods and names. An export
    that is already at ``directory`` is replaced.

    Args:
        contract: what is wanted; ``sha256`` is filled in here.
        images: ``[N, height, width, channels]``; the written files must give the network's answers for
            them in every engine. Left out, nothing is checked.
        graph: one of ``choices.GRAPHS``.
        quantize: replaces the float files in a directory, once they have been compared, by others of the same
            names; gives what it cost.

    Returns:
        The largest difference from the network for each engine.

    Raises:
        UserError: ``directory`` holds something else or cannot be written to; the network cannot
            be exported this way.
        ExportDiffers: by more than ``TOLERANCE``; nothing is left behind.
    """
    directory = Path(directory)
    require_replaceable(directory)
    if graph == "openvino":
        require_openvino()
    if graph == "onnx":
        require_onnx("paddle2onnx", "onnx", *(("onnxruntime",) if images is not None else ()))
    try:
        final = directory.absolute()
        lock = beside(final, "lock")
        with held(final, lock, "export.dir"), atomic_write(final, durable=True) as partial:
            partial.mkdir(parents=True)
            save_graph(network, contract, partial)
            _require_whole(network, partial)
            versions = {**contract.versions, **(CONVERTERS[graph](partial) if graph in CONVERTERS else {})}
            contract = _sign(replace(contract, versions=versions), partial)
            differences = {} if images is None else compare(network, partial, contract, images)
            if quantize is not None:
                _sign(replace(contract, quantization=quantize(partial, contract)), partial)
            return differences
    except OSError as error:
        raise UserError(f"The export {directory} could not be written: {error.strerror or error}.") from error


def _sign(contract: Contract, directory: Path) -> Contract:
    """Write the contract for the model files that are there."""
    contract = replace(contract, sha256={name: sha256(directory / name) for name in model_files(directory)})
    write_contract(contract, directory)
    return contract


def check_photos(contract: Contract) -> np.ndarray:
    """A few of the bundled photos as the network is shown them, ``[4, height, width, channels]``."""
    return bundled_photos(contract.preprocessing, every=9)


def compare(network: Network, directory: Path, contract: Contract, images: np.ndarray) -> dict[str, float]:
    """Largest difference between the network's answers and the export's, for each engine.

    Raises:
        ExportDiffers: it is beyond ``TOLERANCE``.
        UserError: an engine cannot run a graph of dynamic size at another size.
    """
    with evaluation_mode(network):
        eager = NetworkPredictor(network, contract.preprocessing, contract.activation)
        cases = [(part, _answers(eager, contract, part)) for part in _cases(contract, images)]
    return {engine: _largest_difference(engine, directory, contract, cases) for engine in CHECKED_WITH[contract.graph]}


def _largest_difference(
    engine: str, directory: Path, contract: Contract, cases: list[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Between what is expected and the answers of one engine, which is gone before the next takes memory."""
    predictor = open_export(directory, engine)
    largest = 0.0
    for images, expected in cases:
        # answers that are all alike differ by their rounding, whatever their range
        allowed = TOLERANCE * max(float(np.ptp(expected)), 0.01 * float(np.abs(expected).max()))
        try:
            found = float(np.abs(_answers(predictor, contract, images) - expected).max())
        except RuntimeError as error:
            if not contract.dynamic_size:
                raise
            raise UserError(
                f"{contract.model} under {engine} cannot take pictures of {images.shape[2]} x {images.shape[1]} pixels "
                f"({str(error).splitlines()[-1]}). Leave out export.dynamic_size."
            ) from error
        if not found <= allowed:
            raise ExportDiffers(
                f"{contract.model} under {engine}: the exported graph's {contract.output} differ from the "
                f"network's by {found:.2g}, more than {allowed:.2g}. Nothing was written. This is a bug: please "
                "report it."
            )
        largest = max(largest, found)
    return largest


def _cases(contract: Contract, images: np.ndarray) -> Iterator[np.ndarray]:
    """The images together and one alone, for a graph must take any number; of another size, where it may be any."""
    yield images
    yield images[:1]
    if contract.dynamic_size:
        yield np.pad(images[:1], ((0, 0), *((0, more) for more in OTHER_SIZE), (0, 0)), mode="symmetric")


def _require_whole(network: Network, directory: Path) -> None:
    """Compare every tensor of the files with the network's, for Paddle does not notice that a disk is full.

    Raises:
        UserError: one is missing, cut off or of another value.
    """
    tensors = {name_in_graph(tensor.name): tensor for tensor in network.to_static_state_dict().values()}
    try:
        written = read_inference_model(*(directory / name for name in model_files(directory)))
    except UserError as error:
        raise UserError(f"The model could not be written whole: {error} Is the disk full?") from error
    different = [
        name
        for name, array in written.items()
        if name not in tensors or not np.array_equal(array, tensors[name].numpy())
    ]
    if different:
        raise ExportDiffers(f"Tensors in the file are not the network's: {listed(different)}. Nothing was written.")


def _answers(predictor: Predictor, contract: Contract, images: np.ndarray) -> np.ndarray:
    return getattr(predictor, contract.output)(images)
