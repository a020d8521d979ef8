"""int8 for OpenVINO: as many layers as the accuracy allows, with NNCF; extra ``int8``."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls.deploy.contract import OPENVINO_FILES, Contract
from imgcls.deploy.openvino_engine import openvino, read_graph, require_openvino
from imgcls.deploy.openvino_graph import save
from imgcls.deploy.predictor import ExportPredictor
from imgcls.errors import UserError
from imgcls.machine.files import remove

if TYPE_CHECKING:
    import openvino as ov

LAYERS = ("Convolution", "GroupConvolution", "MatMul")
"""Operators of OpenVINO that are worth it."""

INT8_TYPES = ("i8", "u8")
WITHOUT_REPORTS = "NNCF_CI"
"""A variable that keeps NNCF from telling its makers what it is used for."""

BATCH = 8
DIGITS = 4


@dataclass(frozen=True)
class LabelledImages:
    """What a network is measured on.

    Args:
        images: uint8 ``[N, height, width, 3]``.
        labels: int ``[N]``, numbers of the export's classes.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def quantize(
    directory: Path, contract: Contract, calibration: np.ndarray, validation: LabelledImages, max_drop: float
) -> dict[str, Any]:
    """Replace the float graph of an OpenVINO export by one with int8 layers.

    The ranges of activations are learned from ``calibration``; if that costs more than ``max_drop``, the
    layers that cost the most compute in float again, until it does not.

    Args:
        calibration: uint8 ``[N, height, width, 3]``.
        max_drop: of the share of right answers on ``validation``.

    Returns:
        What it cost, for ``Contract.quantization``.

    Raises:
        UserError: the extra is missing; no graph with int8 layers keeps the bound.
    """
    nncf = _nncf()
    import openvino as ov

    core = ov.Core()
    before = _probabilities(directory, contract, validation)
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
    int8, layers = _int8_layers(quantized)
    _replace(quantized, directory)
    after = _probabilities(directory, contract, validation)
    cost = _cost(before, after, validation.labels)
    if not int8 or cost["float"] - cost["int8"] > max_drop + 1e-9:
        raise UserError(
            f"int8 cannot be had within export.max_drop={max_drop:g}: the share of right answers on {len(validation)} "
            f"pictures is {cost['float']:.4f} in float and {cost['int8']:.4f} with {int8} of {layers} layers in int8. "
            "Nothing was written. Allow more, or export without export.quantize."
        )
    return {
        "precision": "int8",
        "layers": int8,
        "of_layers": layers,
        "metric": "top1",
        **cost,
        "max_drop": max_drop,
        "pictures": len(validation),
        "calibrated_on": len(calibration),
        "nncf": metadata.version("nncf"),
    }


def quantize_for_measuring(directory: Path, count: int) -> None:
    """The same with noise in place of images and without a bound: for how fast it is, not for answers.

    Args:
        count: of the images.
    """
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


def _probabilities(directory: Path, contract: Contract, validation: LabelledImages) -> np.ndarray:
    predictor = ExportPredictor(contract, openvino(directory))
    parts = [validation.images[start : start + BATCH] for start in range(0, len(validation), BATCH)]
    return np.concatenate([predictor.probabilities(np.asarray(part)) for part in parts])


def _cost(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    right = {"float": before.argmax(axis=1) == labels, "int8": after.argmax(axis=1) == labels}
    return {
        **{name: round(float(values.mean()), DIGITS) for name, values in right.items()},
        "same_class": round(float((before.argmax(axis=1) == after.argmax(axis=1)).mean()), DIGITS),
        "largest_difference": round(float(np.abs(before - after).max()), DIGITS),
    }


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
