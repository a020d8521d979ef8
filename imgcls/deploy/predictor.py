"""Answers for pictures, whatever computes them: a network in this process or an exported graph."""

import inspect
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import paddle

from imgcls.data.paths import printable
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.choices import FASTEST
from imgcls.deploy.compatible import require_reader
from imgcls.deploy.contract import Contract, read_contract, verify_files
from imgcls.deploy.engines import ENGINES, ENGINES_OF, Run
from imgcls.deploy.fastest import Fastest
from imgcls.deploy.graph import takes_any_size
from imgcls.errors import UserError, close_matches
from imgcls.models.checks import require_methods


class Predictor:
    """The one interface; ``images`` are as ``Preprocessing.transform`` gives them, ``[N, height, width, channels]``.

    Answers are float32 arrays, a row for each image. A predictor that cannot give an answer says so
    with a ``UserError``.
    """

    activation = "softmax"
    """One of ``ACTIVATIONS``."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """``[N, num_classes]``."""
        raise NotImplementedError

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """``[N, num_classes]``, each row adding up to 1, or under ``sigmoid`` each value between 0 and 1."""
        return (sigmoid if self.activation == "sigmoid" else softmax)(self.logits(images))

    def features(self, images: np.ndarray) -> np.ndarray:
        """The last feature map averaged over its area, ``[N, num_features]``."""
        raise NotImplementedError

    def require_any_size(self, what: str) -> None:
        """Refuse ``what``, a key and its value, if images of one size alone are answered for.

        Raises:
            UserError: they are.
        """
        raise UserError(f"{what} is for networks and exports of any size.")


class NetworkPredictor(Predictor):
    """A network run eagerly; it is put into evaluation mode.

    Args:
        network: a layer from images to logits; for features, an ``imgcls.models.layers.Network``.
        preprocessing: how it sees an image.
        activation: one of ``ACTIVATIONS``.
    """

    def __init__(self, network: paddle.nn.Layer, preprocessing: Preprocessing, activation: str = "softmax"):
        network.eval()
        self.network = network
        self.preprocessing = preprocessing
        self.activation = activation

    @paddle.no_grad()
    def logits(self, images):
        return self.network(self._input(images)).numpy()

    @paddle.no_grad()
    def features(self, images):
        require_methods(self.network, "an answer of features", "forward_features")
        return self.network.forward_features(self._input(images)).mean([2, 3]).numpy()

    def require_any_size(self, what):
        seen = self.preprocessing
        if not takes_any_size(self.network, seen):
            raise UserError(
                f"{what}: {type(self.network).__name__} is for pictures of {seen.width} x {seen.height} pixels and "
                "cannot take others. Take flip or five, which show it that size."
            )

    def _input(self, images: np.ndarray) -> paddle.Tensor:
        return self.preprocessing.normalize(paddle.to_tensor(images))


class ExportPredictor(Predictor):
    """An exported graph, run by one of ``ENGINES``.

    Args:
        run: what the engine made of the model files.
    """

    def __init__(self, contract: Contract, run: Run):
        self.contract = contract
        self.activation = contract.activation
        self.run = run

    def logits(self, images):
        self._require("logits")
        return self._outputs(images)

    def probabilities(self, images):
        if self.contract.output == "logits":
            return super().probabilities(images)
        self._require("probabilities")
        return self._outputs(images)

    def features(self, images):
        self._require("features")
        return self._outputs(images)

    def require_any_size(self, what):
        if not self.contract.dynamic_size:
            raise UserError(
                f"{what} is for exports of any size: export with export.dynamic_size=true, or name the run."
            )

    def network_input(self, images: np.ndarray) -> np.ndarray:
        """What the graph takes, of ``[N, height, width, channels]``."""
        return self.contract.preprocessing.normalize_array(images) if self.contract.input == "float" else images

    def _require(self, output: str) -> None:
        if self.contract.output != output:
            raise UserError(
                f"This export gives {self.contract.output}, not {output}. Export with export.output={output}, or take "
                "the run or the checkpoint it was made from as the source."
            )

    def _outputs(self, images: np.ndarray) -> np.ndarray:
        contract = self.contract
        outputs = self.run(self.network_input(images))
        if contract.class_names and outputs.shape[1] != len(contract.class_names):
            raise UserError(
                f"inference.yaml names {len(contract.class_names)} classes, but the graph has {outputs.shape[1]}. "
                "Export the model again."
            )
        return outputs


def open_export(directory: str | Path, engine: str | None = None, **options) -> ExportPredictor:
    """A predictor from an export directory whose files are those that its ``inference.yaml`` was written for.

    Args:
        engine: a key of ``ENGINES``, or ``auto`` for the fastest that is installed, as measured with the
            first batch; when left out, the one that this library's numbers are checked with.
        **options: of the engine.

    Raises:
        UserError: no such engine, or it does not run this kind of graph or take these options; a file
            is missing, damaged or swapped, or of another line of Paddle; ``inference.yaml`` makes no sense.
    """
    known = {**ENGINES, FASTEST: Fastest}
    if engine is not None and engine not in known:
        raise UserError(
            f"There is no engine '{engine}' for exports.{close_matches(engine, known)} It can be {' or '.join(known)}."
        )
    contract = read_contract(directory)
    engines = ENGINES_OF[contract.graph]
    if engine not in (None, FASTEST, *engines):
        kind = "paddle" if contract.graph == "pir" else contract.graph
        raise UserError(f"{directory} is an export of format {kind}: its engine is {' or '.join(engines)}.")
    require_reader(directory, jit=engine == "jit", writer=contract.writer)
    verify_files(directory, contract)
    run = known[engine or engines[0]]
    unknown = sorted(set(options) - set(inspect.signature(run).parameters))
    if unknown:
        raise UserError(f"The engine {engine or engines[0]} takes no {', '.join(unknown)}. Leave it out.")
    return ExportPredictor(contract, run(directory, **options))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Each row's probabilities, in the logits' precision."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Each value's probability, in the logits' precision."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))


def require_numbers(answers: np.ndarray, images: Sequence[object], start: int = 0) -> np.ndarray:
    """The answers to these images, a row for each, if all of them are numbers.

    Args:
        start: the place of the first of them among all, for those that have no name.

    Raises:
        UserError: naming the first image with an answer that is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(answers).all(axis=1))
    if len(bad):
        image = images[bad[0]]
        name = printable(image) if isinstance(image, str | os.PathLike) else f"image {start + bad[0]}"
        raise UserError(
            f"{name}: the network's answer is no number (NaN or infinite). Its weights are damaged, or its training "
            "diverged; or half precision is too little for it, where that was asked for."
        )
    return answers


def top_classes(probabilities: np.ndarray, topk: int) -> np.ndarray:
    """Class numbers of the ``topk`` largest, best first, ``[N, topk]``; equals in order of their number."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :topk]


def taken(scores: np.ndarray, thresholds: Sequence[float]) -> list[int]:
    """Class numbers whose score is at its threshold or above, best first."""
    return [int(number) for number in np.argsort(-scores, kind="stable") if scores[number] >= thresholds[number]]
