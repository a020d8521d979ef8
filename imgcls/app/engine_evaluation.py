"""An export as what an evaluation works on: its files in place of a network with weights."""

from pathlib import Path

import numpy as np
import paddle
from omegaconf import DictConfig, OmegaConf

from imgcls.app.source import Source
from imgcls.deploy.contract import Contract, is_export, read_contract
from imgcls.deploy.predictor import NetworkPredictor, Predictor, open_export
from imgcls.deploy.views import LEAST, SeveralViews
from imgcls.errors import UserError

NOT_OF_PADDLE = ("onnx", "openvino")
"""Kinds of graphs from which no network is read."""


class AsNetwork(paddle.nn.Layer):
    """A predictor as a layer from images ``[N, H, W, channels]`` to logits, or what has the same softmax.

    Args:
        gives_logits: as not every export does.
    """

    def __init__(self, predictor: Predictor, gives_logits: bool = True):
        super().__init__()
        self.predictor = predictor
        self.gives_logits = gives_logits

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        if self.gives_logits:
            return paddle.to_tensor(self.predictor.logits(images.numpy()))
        probabilities = self.predictor.probabilities(images.numpy())
        return paddle.to_tensor(np.log(np.maximum(probabilities, LEAST)))


def is_exported(settings: DictConfig) -> bool:
    """Whether an evaluation is that of an engine that runs an export, and not of a network with its weights.

    Raises:
        UserError: it is given what the other kind of source needs.
    """
    if settings.source is None or not is_export(settings.source):
        if settings.engine is not None:
            raise UserError(f"eval.engine={settings.engine} is for exports. Name the directory of one as eval.source.")
        return False
    engine_alone = settings.engine is not None or read_contract(settings.source).graph in NOT_OF_PADDLE
    if engine_alone and settings.report:
        raise UserError(
            "eval.report=true shows where a network looked, and what an engine runs does not tell: name the run or the "
            "checkpoint as eval.source, without eval.engine. All tables are written without it."
        )
    return engine_alone


def load_export(config: DictConfig, directory: str, engine: str | None) -> tuple[Source, AsNetwork]:
    """What an export says of itself under the command's own data, and what computes it.

    Raises:
        UserError: it is damaged, gives features, or is for pictures of any number of classes.
    """
    predictor = open_export(directory, engine)
    contract = predictor.contract
    if contract.output == "features":
        raise UserError(f"{Path(directory)} gives features, which are neither right nor wrong. Export classes.")
    if contract.activation != "softmax":
        raise UserError(f"{Path(directory)} is for pictures of any number of classes: evaluate the run itself.")
    return described(config, contract), AsNetwork(predictor, contract.output == "logits")


def described(config: DictConfig, contract: Contract) -> Source:
    """What an export says of itself under the command's own data."""
    result, seen = config.copy(), contract.preprocessing
    result.model.name = contract.model
    OmegaConf.update(result, "model.args", {"in_channels": seen.channels.count}, force_add=True)
    for key in ("size", "fit", "resize_size", "interpolation", "mean", "std", "resampling", "depth"):
        value = getattr(seen, key)
        result.transform[key] = list(value) if isinstance(value, tuple) else value
    return Source(result, contract.class_names, None)


def averaged(network: paddle.nn.Layer, source: Source, kind: str) -> AsNetwork:
    """A layer that answers as the mean over the views of ``eval.tta``.

    Args:
        network: of the source, or its export as a layer.
    """
    is_export = isinstance(network, AsNetwork)
    one = network.predictor if is_export else NetworkPredictor(network, source.preprocessing(), source.activation)
    return AsNetwork(SeveralViews(one, kind))
