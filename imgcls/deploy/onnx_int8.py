"""int8 for ONNX: as many layers as the accuracy allows, with onnxruntime's own quantiser; extra ``onnx``.

Weights have seven bits: products of pairs of them then fit into 16 on every processor, and those without the
instructions for int8 give the answers that were measured.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgcls.deploy.contract import ONNX_FILES, Contract
from imgcls.deploy.int8 import LabelledImages
from imgcls.deploy.onnx_graph import require_onnx
from imgcls.deploy.predictor import ExportPredictor
from imgcls.machine import cpu
from imgcls.machine.files import remove

if TYPE_CHECKING:
    import onnx

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that are worth it."""

BETWEEN = """Add AveragePool Clip Concat GlobalAveragePool LeakyRelu MaxPool Mul Pad Relu Reshape Resize Slice Split
    Squeeze Transpose Unsqueeze"""
"""Operators that may stay in int8 from one layer to the next. Softmax and sigmoids need more than 256 values."""

IN_FLOAT = "_in_float"
"""Ends the name of a tensor that a layer reads in float again."""

RANKED_ON = 32
"""Images by which the layers are ranked."""

BATCH = 8


def quantize_bounded(
    directory: Path, contract: Contract, calibration: np.ndarray, validation: LabelledImages, max_drop: float
) -> tuple[int, int]:
    """Replace the float graph by one with int8 layers; how many there are, of how many layers. See ``int8.quantize``.

    If all in int8 costs more than ``max_drop``, what lies between the layers returns to float; if that is not
    enough, those layers whose return brings the answers nearest to the float graph's, as few as keep the bound.
    """
    require_onnx("onnx", "onnxruntime")
    import onnx

    scratch = directory / "int8"
    scratch.mkdir()
    predictor = ExportPredictor(contract, lambda images: images)  # for its network_input
    whole = onnx.load(str(_fused(directory / ONNX_FILES[0], scratch)))
    quantized = _with_plain_outputs(onnx.load(str(_all_quantized(scratch, predictor, calibration))))
    layers, between = _in_int8(whole, quantized)
    answers = partial(_answers, contract)

    def enough(returned: Sequence[str]) -> bool:
        found = answers(_with_float(returned, whole, quantized), validation.images)
        return float((found.argmax(axis=1) == validation.labels).mean()) >= least

    right = answers(whole, validation.images).argmax(axis=1) == validation.labels
    least = float(right.mean()) - max_drop - 1e-9
    returned: Sequence[str] = ()
    if layers and not enough(returned):
        returned = between
        if not enough(returned):
            ranked = _ranked(layers, between, whole, quantized, partial(answers, images=calibration[:RANKED_ON]))
            few, many = 0, len(ranked)  # too few, and enough, if only because nothing is left
            while many - few > 1:
                middle = (few + many) // 2
                few, many = (few, middle) if enough([*between, *ranked[:middle]]) else (middle, many)
            returned = [*between, *ranked[:many]]
    result = _with_float(returned, whole, quantized)
    onnx.checker.check_model(result)
    remove(scratch)
    onnx.save(result, str(directory / ONNX_FILES[0]))
    return len(set(layers) - set(returned)), len(layers)


def versions() -> dict[str, str]:
    """What made the layers, for the contract."""
    return {"onnxruntime": metadata.version("onnxruntime")}


def _fused(file: Path, scratch: Path) -> Path:
    """The graph with batch norms inside convolutions and shapes known, as the quantiser wants it."""
    from onnxruntime.quantization import quant_pre_process

    fused = scratch / "float.onnx"
    quant_pre_process(str(file), str(fused), skip_symbolic_shape=True)
    return fused


def _all_quantized(scratch: Path, predictor: ExportPredictor, calibration: np.ndarray) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self._waiting = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._waiting, None)
            return None if image is None else {_input(scratch): predictor.network_input(image[np.newaxis])}

    logging.getLogger().setLevel(logging.ERROR)  # where onnxruntime tells what to do beforehand, and it was done
    result = scratch / "quantized.onnx"
    quantize_static(
        str(scratch / "float.onnx"),
        str(result),
        Images(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[*LAYERS, *BETWEEN.split()],
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"QDQKeepRemovableActivations": True},  # what a layer that is returned to float reads
    )
    return result


def _input(scratch: Path) -> str:
    import onnx

    return onnx.load(str(scratch / "float.onnx"), load_external_data=False).graph.input[0].name


def _with_plain_outputs(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The graph whose outputs are what its last operators compute, not rounded to eight bits."""
    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        last = made_by[output.name]
        before = made_by.get(last.input[0]) if last.op_type == "DequantizeLinear" else None
        if before is None or before.op_type != "QuantizeLinear":
            continue
        plain = before.input[0]
        for node in (last, before):
            graph.node.remove(node)
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [output.name if name == plain else name for name in names]
    return model


def _in_int8(whole: "onnx.ModelProto", quantized: "onnx.ModelProto") -> tuple[list[str], list[str]]:
    """Names of what reads something else in int8: layers, and what lies between them."""
    inputs = {node.name: list(node.input) for node in whole.graph.node}
    changed = [node for node in quantized.graph.node if inputs.get(node.name, list(node.input)) != list(node.input)]
    return tuple([node.name for node in changed if (node.op_type in LAYERS) == wanted] for wanted in (True, False))


def _ranked(
    layers: Sequence[str],
    between: Sequence[str],
    whole: "onnx.ModelProto",
    quantized: "onnx.ModelProto",
    answers: Callable[["onnx.ModelProto"], np.ndarray],
) -> list[str]:
    """The layer first whose return to float leaves the least difference from the float graph's answers."""
    expected = answers(whole)

    def left(layer: str) -> float:
        return float(np.abs(answers(_with_float([*between, layer], whole, quantized)) - expected).mean())

    return sorted(layers, key={layer: left(layer) for layer in layers}.__getitem__)


def _with_float(layers: Collection[str], whole: "onnx.ModelProto", quantized: "onnx.ModelProto") -> "onnx.ModelProto":
    """The quantised graph in which some layers read what they read in the float one, and nothing is left over."""
    import onnx

    inputs = {node.name: node.input for node in whole.graph.node if node.name in set(layers)}
    wanted = {name for names in inputs.values() for name in names}
    tensors = [tensor for tensor in whole.graph.initializer if tensor.name in wanted]
    result = onnx.ModelProto()
    result.CopyFrom(quantized)
    graph = result.graph
    own = {tensor.name: f"{tensor.name}{IN_FLOAT}" for tensor in tensors}  # the plain names may be those of int8's
    for node in graph.node:
        if node.name in inputs:
            node.input[:] = [own.get(name, name) for name in inputs[node.name]]
    for tensor in tensors:
        copy = graph.initializer.add()
        copy.CopyFrom(tensor)
        copy.name = own[tensor.name]
    _remove_unused(graph)
    for place in reversed(range(len(result.opset_import))):
        if result.opset_import[place].domain not in ("", "ai.onnx"):
            del result.opset_import[place]  # which onnxruntime names without a use of it
    return result


def _remove_unused(graph: "onnx.GraphProto") -> None:
    while True:
        read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        unused = [place for place, node in enumerate(graph.node) if not read.intersection(node.output)]
        for place in reversed(unused):
            del graph.node[place]
        if not unused:
            break
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in read:
            del graph.initializer[place]


def _answers(contract: Contract, model: "onnx.ModelProto", images: np.ndarray) -> np.ndarray:
    """Probabilities of a graph in memory, as the engine gives them."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = cpu.usable_cores()
    options.log_severity_level = 3
    session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    predictor = ExportPredictor(contract, lambda batch: session.run(None, {name: batch})[0])
    parts = [np.asarray(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate([predictor.probabilities(part) for part in parts])
