"""From a network to an export directory: whole or absent, and checked against the network before it is published."""

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.static import InputSpec

from imgcls.data.build import SAMPLE_PHOTOS
from imgcls.data.decode import decode_image
from imgcls.deploy.contract import FILE, MODEL_FILES, Contract, sha256, write_contract
from imgcls.deploy.engines import ENGINES, NAME
from imgcls.deploy.predictor import NetworkPredictor, Predictor, open_export
from imgcls.errors import UserError
from imgcls.preprocessing import normalize
from imgcls.weights.fluid import read_inference_model

TOLERANCE = 1e-4
"""Largest accepted difference from the network's answers, relative to their range."""


class ExportDiffers(UserError):
    """The exported graph does not give the network's answers."""


class BytesToProbabilities(nn.Layer):
    """A network with its normalisation in front and softmax behind: uint8 ``[N, H, W, 3]`` to ``[N, num_classes]``."""

    def __init__(self, network: nn.Layer, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.network = network
        self.mean = mean
        self.std = std

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        return F.softmax(self.network(normalize(images, self.mean, self.std)), axis=1)


def export(
    network: nn.Layer, contract: Contract, directory: str | Path, images: np.ndarray | None = None
) -> dict[str, float]:
    """Write ``inference.pdmodel``, ``inference.pdiparams`` and ``inference.yaml``.

    The batch size is left open. The network is left as it was, modes, methods and names. An export
    that is already at ``directory`` is replaced.

    Args:
        contract: what is wanted; ``sha256`` is filled in here.
        images: uint8 ``[N, size, size, 3]``; the written files must give the network's answers for
            them in every engine. Left out, nothing is checked.

    Returns:
        The largest difference from the network for each engine.

    Raises:
        UserError: ``directory`` holds something else, or cannot be written to.
        ExportDiffers: by more than ``TOLERANCE``; nothing is left behind.
    """
    directory = Path(directory)
    require_replaceable(directory)
    partial = directory.absolute().with_name(f".{directory.absolute().name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with evaluation_mode(network), _own_forward(network), _ascii_names(network):
            _save(network, contract, partial)
            _require_whole(network, partial)
            contract = replace(contract, sha256={name: sha256(partial / name) for name in MODEL_FILES})
            write_contract(contract, partial)
            differences = {} if images is None else compare(network, partial, contract, images)
        _publish(partial, directory)
    except OSError as error:
        raise UserError(f"The export {directory} could not be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return differences


def check_photos(contract: Contract) -> np.ndarray:
    """A few of the bundled photos as the network is shown them, uint8 ``[4, image_size, image_size, 3]``."""
    transform = contract.transform()
    paths = sorted(SAMPLE_PHOTOS.glob("val/*/*.jpg"))[::9]
    return np.stack([transform(decode_image(path), np.random.default_rng(0)) for path in paths])


def require_replaceable(directory: Path) -> None:
    """Refuse a place that holds anything but an export.

    Raises:
        UserError: it is a file, or a directory with other content.
    """
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is a file. Choose another export.dir.")
    content = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    others = sorted(content - {FILE, *MODEL_FILES})
    if others or (content and FILE not in content):
        raise UserError(
            f"{directory} is left alone: it holds {', '.join(others[:3]) or 'model files'} and is no export of this "
            "library. Choose another export.dir."
        )


def compare(network: nn.Layer, directory: Path, contract: Contract, images: np.ndarray) -> dict[str, float]:
    """Largest difference between the network's answers and the export's, for each engine.

    Raises:
        ExportDiffers: it is beyond ``TOLERANCE``.
    """
    expected = _answers(NetworkPredictor(network, contract.mean, contract.std), contract, images)
    # answers that are all alike differ by their rounding, whatever their range
    allowed = TOLERANCE * max(float(np.ptp(expected)), 0.01 * float(np.abs(expected).max()))
    differences = {}
    for engine in ENGINES:
        predictor = open_export(directory, engine)
        # the batch as a whole, then its first image alone: the graph must take any number of images
        parts = (_answers(predictor, contract, images), _answers(predictor, contract, images[:1]))
        found = max(float(np.abs(part - expected[: len(part)]).max()) for part in parts)
        if not found <= allowed:
            raise ExportDiffers(
                f"{contract.model} under {engine}: the exported graph's {contract.output} differ from the network's by "
                f"{found:.2g}, more than {allowed:.2g}. Nothing was written. This is a bug: please report it."
            )
        differences[engine] = found
    return differences


@contextlib.contextmanager
def evaluation_mode(network: nn.Layer) -> Iterator[None]:
    """Every layer in evaluation mode inside this context, and as it was after it."""
    modes = [(layer, layer.training) for layer in network.sublayers(include_self=True)]
    network.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training


@contextlib.contextmanager
def _own_forward(network: nn.Layer) -> Iterator[None]:
    """Every layer has its own ``forward`` again after this context.

    ``paddle.jit.save`` puts a translated one on each layer: breakpoints no longer stop in it, and a
    layer saved inside another cannot be saved by itself after that.
    """
    layers = network.sublayers(include_self=True)
    before = [(vars(layer).get("forward"), layer._original_funcs.copy()) for layer in layers]
    try:
        yield
    finally:
        for layer, (forward, originals) in zip(layers, before, strict=True):
            vars(layer).pop("forward", None)
            if forward is not None:
                vars(layer)["forward"] = forward
            layer._original_funcs = originals


@contextlib.contextmanager
def _ascii_names(network: nn.Layer) -> Iterator[None]:
    r"""Tensors with other characters in their names have them as ``\xNN`` inside this context.

    ``paddle.jit.load`` fails on such names, and the fluid names of Res2Net200_vd_26w_4s are of that kind.
    """
    names = {key: tensor.name for key, tensor in network.state_dict().items() if not tensor.name.isascii()}
    state = network.state_dict()
    try:
        for key, name in names.items():
            state[key].name = name.encode("ascii", "backslashreplace").decode()
        yield
    finally:
        for key, name in names.items():
            state[key].name = name


def _save(network: nn.Layer, contract: Contract, directory: Path) -> None:
    size = contract.image_size
    if contract.input == "uint8":
        graph = BytesToProbabilities(network, contract.mean, contract.std)
        graph.eval()
        spec = InputSpec([None, size, size, 3], "uint8", "images")
    else:
        graph, spec = network, InputSpec([None, 3, size, size], "float32", "images")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"The Attr\(force_cpu\)", UserWarning)  # of Paddle's own operators
        paddle.jit.save(graph, str(directory / NAME), input_spec=[spec])
    # Paddle adds a pickle of the parameters' names and does without it when it loads. A directory
    # that goes to other machines should hold nothing that has to be unpickled.
    (directory / f"{NAME}.pdiparams.info").unlink(missing_ok=True)


def _require_whole(network: nn.Layer, directory: Path) -> None:
    """Compare every tensor of the files with the network's, for Paddle does not notice that a disk is full.

    Raises:
        UserError: one is missing, cut off or of another value.
    """
    tensors = {tensor.name: tensor.numpy() for tensor in network.state_dict().values()}
    try:
        written = read_inference_model(*(directory / name for name in MODEL_FILES))
    except UserError as error:
        raise UserError(f"The model could not be written whole: {error} Is the disk full?") from error
    different = [name for name, array in written.items() if not np.array_equal(array, tensors.get(name))]
    if different:
        raise ExportDiffers(
            f"Tensors in the file are not the network's: {', '.join(different[:5])}. Nothing was written."
        )


def _answers(predictor: Predictor, contract: Contract, images: np.ndarray) -> np.ndarray:
    return predictor.logits(images) if contract.output == "logits" else predictor.probabilities(images)


def _publish(partial: Path, directory: Path) -> None:
    """Rename into place; an older export steps aside first and is removed after."""
    for name in (*MODEL_FILES, FILE):
        with (partial / name).open("rb") as file:
            os.fsync(file.fileno())
    if not directory.is_dir() or not any(directory.iterdir()):
        partial.rename(directory)
        return
    old = partial.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    directory.rename(old)
    partial.rename(directory)
    shutil.rmtree(old)
