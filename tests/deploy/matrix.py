"""Every kind of export of one model against the eager network: what the matrix of tests and ``--full`` run.

The weights are the reference's: a pure function of their names, with statistics that keep the
logits of every depth within a few units.
"""

import gc
import json
from functools import cache
from pathlib import Path

import numpy as np
import paddle
import pytest
import weights
from locations import REFERENCE

import imgcls
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import LAYOUTS, OUTPUTS, Contract
from imgcls.deploy.engines import inference
from imgcls.deploy.exporter import export
from imgcls.deploy.predictor import NetworkPredictor
from imgcls.models.alexnet import AlexNet
from imgcls.models.registry import IMAGENET_MEAN, IMAGENET_STD, model_info

AT_LEAST_139 = ("inception_v4", "xception", "xception_deeplab")
OWN_SIZE = ("alexnet", "vgg")
"""Families whose head pools to a fixed size, which neither oneDNN nor ONNX can do from any other."""


@cache
def families() -> list[str]:
    """The smallest published network of each family."""
    smallest = {}
    for info in map(model_info, imgcls.list_models(published=True)):
        if info.module not in smallest or info.params < smallest[info.module].params:
            smallest[info.module] = info
    return sorted(info.name for info in smallest.values())


def quick_size(name: str) -> int:
    """A small image size that the network takes."""
    info = model_info(name)
    if info.module in OWN_SIZE:
        return info.input_size
    return 139 if info.module in AT_LEAST_139 else min(96, info.input_size)


def filled(name: str, map_size: int | None = None) -> paddle.nn.Layer:
    """The network with the reference's weights.

    Args:
        map_size: side of the map below the fully connected layers of an AlexNet, in place of 6, which makes 25
            million parameters of 61.
    """
    with pytest.MonkeyPatch.context() as patch:
        if map_size:
            patch.setattr(AlexNet, "map_size", map_size)
        network = imgcls.create_model(name)
    if map_size:
        network.map_size = map_size
    file = REFERENCE / "models" / f"{model_info(name).published_name}.json"
    spec = json.loads(file.read_text())
    roles = {item["name"]: item["role"] for item in spec["parameters"]}
    for tensor in network.state_dict().values():
        role = roles[tensor.name]
        value = weights.make_parameter(tensor.name, tensor.shape, role, spec["gain"], spec["gain_on"])
        tensor.set_value(value)
    network.eval()
    return network


def images_for_any(size: int) -> np.ndarray:
    """Two images of the reference, uint8 ``[2, size, size, 3]``."""
    pixels = weights.make_input(size) * np.reshape(IMAGENET_STD, (3, 1, 1)) + np.reshape(IMAGENET_MEAN, (3, 1, 1))
    return (255 * pixels.clip(0, 1)).round().astype(np.uint8).transpose(0, 2, 3, 1)


def uncropped(size: int) -> Preprocessing:
    """The central square resized to ``size``."""
    return Preprocessing(size=size, resize_size=size, interpolation="linear", mean=IMAGENET_MEAN, std=IMAGENET_STD)


def contract_of(name: str, size: int, input: str, output: str, dynamic_size: bool) -> Contract:
    return Contract(
        model=name,
        input=input,
        preprocessing=uncropped(size),
        output=output,
        dynamic_size=dynamic_size,
        class_names=() if output == "features" else tuple(map(str, range(1000))),
    )


class Inside(paddle.nn.Layer):
    """An exported network as a part of another."""

    def __init__(self, network: paddle.nn.Layer):
        super().__init__()
        self.network = network

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        return self.network(images) * 2


def check_paddle(name: str, size: int, images: np.ndarray, directory: Path) -> dict[str, float]:
    """Largest difference over the range of the logits, for each way to run the float graph.

    The image size is left open where it can be, and ``export`` compares at another one.
    """
    network = filled(name)
    logits = NetworkPredictor(network, uncropped(size)).logits(images)
    any_size = model_info(name).module not in OWN_SIZE
    export(network, contract_of(name, size, "float", "logits", any_size), directory / "float", images)
    del network  # the largest take 3 GB, and each engine as much again
    gc.collect()
    found = _under_every_engine(directory / "float", uncropped(size).normalize_array(images))
    return {way: relative(array, logits) for way, array in found.items()}


def _under_every_engine(directory: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    return {
        **_under_jit(directory, x),
        "inference": inference(directory, onednn=False)(x),
        "inference with oneDNN": inference(directory, onednn=True)(x),
    }


def _under_jit(directory: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    loaded = paddle.jit.load(str(directory / "inference"))
    inside = Inside(loaded)
    inside.eval()
    x = paddle.to_tensor(x)
    with paddle.no_grad():
        return {"jit": loaded(x).numpy(), "inside another layer": inside(x).numpy() / 2}


KINDS = [(input, output) for input in LAYOUTS for output in OUTPUTS if (input, output) != ("float", "logits")]


def check_others(
    network: paddle.nn.Layer, name: str, kinds: list[tuple[str, str]], size: int, images: np.ndarray, directory: Path
) -> dict[str, float]:
    """Largest difference of the graphs of other inputs and outputs, under the engines ``export`` compares with."""
    any_size = model_info(name).module not in OWN_SIZE
    return {
        f"{input} to {output}": max(
            export(
                network, contract_of(name, size, input, output, any_size), directory / input / output, images
            ).values()
        )
        for input, output in kinds
    }


def check_onnx(name: str, size: int, images: np.ndarray, directory: Path) -> float:
    """Largest difference of the ONNX graph's logits under onnxruntime, over their range."""
    network = filled(name)
    logits = NetworkPredictor(network, uncropped(size)).logits(images)
    contract = contract_of(name, size, "float", "logits", False)
    return export(network, contract, directory / "onnx", images, "onnx")["onnxruntime"] / float(np.ptp(logits))


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.ptp(expected))


def show(name: str, differences: dict[str, float]) -> None:
    print(f"{name}: " + ", ".join(f"{way} {difference:.1e}" for way, difference in differences.items()))
