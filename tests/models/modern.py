"""The modern networks with the weights of ``peers/rule.py``, which their sources were filled with too."""

import sys
from functools import cache
from importlib import import_module

import numpy as np
import paddle
import pytest
from locations import ROOT

import imgcls
from imgcls.models import convnext, swin, vit

sys.path.append(str(ROOT / "tests" / "peers"))

from rule import gain, value

NAMES = imgcls.list_models(modern=True)
OWN_SIZE = ("swin", "vit")
"""Families whose graphs are for one size of the images."""

convnext.SIZES["micro"] = ((1, 1, 2, 1), convnext.SIZES["atto"][1])
swin.SIZES["micro"] = (32, 1, (1, 1, 2, 1))
vit.SIZES["micro"] = (192, 3, 3)
"""The smallest that have all that their families have; those that are published take some times as long."""


@cache
def families() -> list[str]:
    """The smallest network of each family."""
    smallest: dict[str, imgcls.models.registry.ModelInfo] = {}
    for info in map(imgcls.model_info, NAMES):
        if info.module not in smallest or info.params < smallest[info.module].params:
            smallest[info.module] = info
    return sorted(info.name for info in smallest.values())


def one_per_family_or_full(name: str):
    return pytest.param(name, marks=[] if name in families() else [pytest.mark.full])


def module(name: str):
    return import_module(f"imgcls.models.{imgcls.model_info(name).module}")


SIZE = 64
"""Of images: small, and enough for some patches and windows."""


def arguments(name: str, size: int) -> dict:
    """What a network is made with for images of a size, when its weights are for that size."""
    return {"image_size": size} if imgcls.model_info(name).module == "vit" else {}


def quick(name: str) -> dict[str, str]:
    """Arguments that make less of a network."""
    return {"size": "micro"} if imgcls.model_info(name).module in ("convnext", "swin", "vit") else {}


def from_paddle(name: str) -> bool:
    return imgcls.model_info(name).source.startswith("PaddleClas")


def source_shapes(network: paddle.nn.Layer, transposed: bool) -> dict[str, tuple[int, ...]]:
    """The shape that each tensor has in the source, by its name there."""
    linear = {id(layer.weight) for layer in network.sublayers() if isinstance(layer, paddle.nn.Linear)}
    return {
        tensor.name: tuple(tensor.shape)[:: -1 if id(tensor) in linear and transposed else 1]
        for tensor in network.state_dict().values()
    }


def fill(
    network: paddle.nn.Layer, shapes: dict[str, tuple[int, ...]], transposed: bool, gain: float = 1.0
) -> paddle.nn.Layer:
    """Values of the rule into a network, whose fully connected weights PyTorch has the other way round."""
    linear = {id(layer.weight) for layer in network.sublayers() if isinstance(layer, paddle.nn.Linear)}
    for tensor in network.state_dict().values():
        values = value(tensor.name, shapes[tensor.name], gain)
        if id(tensor) in linear and transposed:
            values = np.ascontiguousarray(values.reshape(len(values), -1).T)
        assert values.shape == tuple(tensor.shape), tensor.name
        tensor.set_value(values)
    network.eval()
    return network


def case(text: str) -> tuple[str, int, dict[str, int]]:
    """Name, side of the images and further arguments of a case of ``peers/source_logits.py``."""
    name, _, numbers = text.partition("@")
    size, *window = map(int, numbers.split(","))
    return name, size, {"window": window[0]} if window else {}


def filled_case(text: str) -> tuple[paddle.nn.Layer, int]:
    """The network of a case and the side of its images."""
    name, size, options = case(text)
    return filled(name, size, **options), size


def filled(name: str, side: int, **options) -> paddle.nn.Layer:
    """The network, in evaluation mode."""
    network = imgcls.create_model(name, **arguments(name, side), **options)
    transposed = not from_paddle(name)
    return fill(network, source_shapes(network, transposed), transposed, gain(name))
