"""Which networks a test over all of them runs on, with what weights and images."""

import json
from functools import cache

import paddle
import pytest
import weights
from locations import REFERENCE

import imgcls
from imgcls.models.alexnet import AlexNet
from imgcls.models.darts import DARTS
from imgcls.models.vgg import VGG

SMALL = 14e6  # parameters a network may have to run by default
NAMES = imgcls.list_models(modern=False)
"""Of the original's networks; ``modern.py`` has those that it did not have."""


@cache
def families() -> list[str]:
    """The smallest network of each family."""
    smallest: dict[str, imgcls.models.registry.ModelInfo] = {}
    for info in map(imgcls.model_info, NAMES):
        if info.module not in smallest or info.params < smallest[info.module].params:
            smallest[info.module] = info
    return sorted(info.name for info in smallest.values())


def small_or_full(name: str):
    """A test case; of the big networks only with ``--full``."""
    marks = [] if imgcls.model_info(name).params < SMALL else [pytest.mark.full]
    return pytest.param(name, marks=marks)


def one_per_family_or_full(name: str):
    marks = [] if name in families() else [pytest.mark.full]
    return pytest.param(name, marks=marks)


def small_family_or_full(name: str):
    marks = [] if name in families() and imgcls.model_info(name).params < SMALL else [pytest.mark.full]
    return pytest.param(name, marks=marks)


def specification(name: str) -> dict:
    path = REFERENCE / "models" / f"{imgcls.model_info(name).published_name}.json"
    if not path.exists():
        pytest.skip(f"the original cannot build {name}: there is nothing to compare with")
    return json.loads(path.read_text())


def filled(name: str, spec: dict, **arguments) -> paddle.nn.Layer:
    """The network with the reference's weights, in evaluation mode."""
    network = imgcls.create_model(name, **arguments)
    values = dict(weights.make_parameters(spec))
    for tensor in network.state_dict().values():
        tensor.set_value(values[tensor.name])
    network.eval()
    return network


SLIM = {"resnext101_32x8d_wsl": {"depth": 50, "width": 64, "groups": 8}}
"""Arguments that make a small network of the smallest of a family."""

MAP_SIZE = 2
"""Side of the map that the first fully connected layer of AlexNet and VGG reads, in place of 6 and 7."""

CELLS, REDUCTIONS = 5, (1, 3)
"""Of DARTS, in place of 14 cells, the fifth and the tenth of which reduce."""


def slim(name: str, **arguments) -> paddle.nn.Layer:
    """A network of its family in all but some numbers, for what does not depend on them: of 30 million parameters
    where the published ones have 60 to 130, or of a third of the cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DARTS, "cells_in_total", CELLS)
        patch.setattr(DARTS, "reductions", REDUCTIONS)
        for whole in (AlexNet, VGG):
            patch.setattr(whole, "map_size", MAP_SIZE)
        network = imgcls.create_model(name, **SLIM.get(name, {}), **arguments)
    if isinstance(network, AlexNet | VGG):
        network.map_size = MAP_SIZE
    if isinstance(network, DARTS):
        network.reductions = REDUCTIONS
    return network


def smaller_size(name: str) -> int:
    """An image size other than the published one that the network takes, and quick."""
    info = imgcls.model_info(name)
    if info.module in ("inception_v4", "xception", "xception_deeplab"):
        return 139
    return 96 if info.input_size > 96 else info.input_size
