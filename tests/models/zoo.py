"""Which networks a test over all of them runs on, with what weights and images."""

import json
from functools import cache

import paddle
import pytest
import weights
from locations import REFERENCE

import imgcls
from imgcls.models import resnet, shufflenet_v2
from imgcls.models.alexnet import AlexNet
from imgcls.models.darts import DARTS
from imgcls.models.hrnet import HRNet
from imgcls.models.inception_v4 import InceptionV4
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


def filled(name: str, spec: dict, build=imgcls.create_model) -> paddle.nn.Layer:
    """The network with the reference's weights, in evaluation mode."""
    network = build(name)
    roles = {item["name"]: item["role"] for item in spec["parameters"]}
    for tensor in network.state_dict().values():
        role = roles[tensor.name]
        tensor.set_value(weights.make_parameter(tensor.name, tensor.shape, role, spec["gain"], spec["gain_on"]))
    network.eval()
    return network


SLIM = {
    "darknet53": {"repeats": (1, 2, 1, 1, 1)},
    "densenet121": {"repeats": (2, 3, 2, 2)},
    "dpn68": {"repeats": (2, 2, 2, 2)},
    "hrnet_w18_c": {"width": 6},
    "resnext101_32x8d_wsl": {"depth": 50, "width": 64, "groups": 8},
    "xception41": {"middle": 2},
    "xception41_deeplab": {"middle": 2},
}
"""Arguments that make a small network of the smallest of a family."""

CELLS, REDUCTIONS = 5, (1, 3)
"""Of DARTS, in place of 14 cells, the fifth and the tenth of which reduce."""

MAP_SIZE = 2
"""Side of the map that the first fully connected layer of AlexNet and VGG reads, in place of 6 and 7."""

RENUMBERED = ("darts", "dpn")
"""Families whose blocks are numbered through: of fewer of them, the reference does not know every name."""

FEWER = {
    (AlexNet, "hidden_features"): 512,
    (AlexNet, "map_size"): MAP_SIZE,
    (DARTS, "cells_in_total"): CELLS,
    (DARTS, "reductions"): REDUCTIONS,
    (HRNet, "modules"): (1, 1, 1),
    (InceptionV4, "modules"): (1, 2, 1),
    (VGG, "hidden_features"): 512,
    (VGG, "map_size"): MAP_SIZE,
    (resnet, "REPEATS"): dict.fromkeys(resnet.REPEATS, (2, 1, 1, 1)),
    (shufflenet_v2, "REPEATS"): (2, 2, 2),
}
"""Where no argument says how many. Of blocks, each kind is still there, and two where one follows another."""


def slim(name: str, **arguments) -> paddle.nn.Layer:
    """A network of its family in all but some numbers, for what does not depend on them: with smaller layers, or
    fewer of the blocks that are alike."""
    with pytest.MonkeyPatch.context() as patch:
        for (owner, attribute), fewer in FEWER.items():
            patch.setattr(owner, attribute, fewer)
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
