"""int8 for OpenVINO: as many layers as the accuracy allows, with NNCF; extra ``int8``.

For a process of its own (``int8_process``): once NNCF has worked in one, a signal is the end of it.
"""

import logging
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls.deploy.contract import OPENVINO_FILES, Contract
from imgcls.deploy.int8 import LabelledImages
from imgcls.deploy.openvino_engine import read_graph, require_openvino
from imgcls.deploy.openvino_graph import save
from imgcls.deploy.predictor import ExportPredictor
from imgcls.machine.files import remove

if TYPE_CHECKING:
    import openvino as ov

LAYERS = ("Convolution", "GroupConvolution", "MatMul")
"""Operators of OpenVINO that are worth it."""

INT8_TYPES = ("i8", "u8")
WITHOUT_REPORTS = "NNCF_CI"
"""A variable that keeps NNCF from telling its makers what it is used for."""


def quantize_bounded(
    directory: Path, contract: Contract, calibration: np.ndarray, validation: LabelledImages, max_drop: float
) -> tuple[int, int]:
    """See ``int8.quantize``; returns how many layers are in int8, and how many there are."""
    nncf = _nncf()
    import openvino as ov

    core = ov.Core()
    predictor = ExportPredictor(contract, lambda images: images)  # for its network_input

    def network_input(image: np.ndarray) -> np.ndarray:
        return predictor.network_input(image[np.newaxis])

    def accuracy(compiled: "ov.CompiledModel", entries: Iterator[tuple[np.ndarray, int]]) -> tuple[float, list[float]]:
        right = [float(compiled(network_input(image))[0].argmax() == label) for image, label in entries]
        return float(np.mean(right)), right

    quantized = nncf.quantize_with_accuracy_control(
        read_graph(core, directory),
        calibration_dataset=nncf.Dataset(list(calibration), network_input),
        validation_dataset=nncf.Dataset(list(zip(validation.images, validation.labels, strict=True)), lambda e: e[0]),
        validation_fn=accuracy,
        max_drop=max_drop,
        drop_type=nncf.DropType.ABSOLUTE,
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.MIXED,
    )
    _replace(quantized, directory)
    return _int8_layers(quantized)


def versions() -> dict[str, str]:
    """What made the layers, for the contract."""
    return {"nncf": metadata.version("nncf")}


def quantize_for_measuring(directory: Path, count: int) -> None:
    """See ``int8.quantize_for_measuring``."""
    nncf = _nncf()
    import openvino as ov

    model = read_graph(ov.Core(), directory)
    shape = [1, *(dimension.get_length() for dimension in list(model.inputs[0].partial_shape)[1:])]
    images = np.random.default_rng(0).standard_normal((count, *shape), np.float32)
    _replace(nncf.quantize(model, nncf.Dataset(list(images)), subset_size=count), directory)


def _nncf() -> Any:
    """The package, which says nothing to anybody and only warnings here."""
    require_openvino("nncf")
    os.environ.setdefault(WITHOUT_REPORTS, "1")
    import nncf

    nncf.set_log_level(logging.WARNING)
    return nncf


def _int8_layers(model: "ov.Model") -> tuple[int, int]:
    """How many layers have weights in int8, and so compute in it; of how many."""
    layers = [node for node in model.get_ops() if node.get_type_name() in LAYERS]
    return sum(_weights_type(node) in INT8_TYPES for node in layers), len(layers)


def _weights_type(layer: "ov.Node") -> str:
    """The type of the tensor that a layer's weights are made of, through scales and conversions."""
    node = layer.input_value(1).get_node()
    while node.get_type_name() != "Constant" and node.get_input_size():
        node = node.input_value(0).get_node()
    return node.get_output_element_type(0).get_type_name()


def _replace(model: "ov.Model", directory: Path) -> None:
    """Write the files anew: the old ones may be what the model still reads its tensors from."""
    new = directory / "int8"
    new.mkdir()
    save(model, new)
    for name in OPENVINO_FILES:
        (new / name).replace(directory / name)
    remove(new)
