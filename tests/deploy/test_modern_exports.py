"""The modern networks exported every way give the eager network's numbers; by default the smallest of some families.

All 116, over an hour of CPU: ``python -m pytest tests/deploy/test_modern_exports.py --full -rP -o
tmp_path_retention_policy=failed``.
"""

import gc
import importlib.util
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import paddle
import pytest
from locations import ROOT
from matrix import contract_of, show, uncropped

import imgcls
from imgcls.deploy.agreement import bundled_photos
from imgcls.deploy.exporter import TOLERANCE, export
from imgcls.deploy.predictor import NetworkPredictor

sys.path.append(str(ROOT / "tests" / "models"))

from modern import NAMES, OWN_SIZE, SIZE, families, filled, module, quick

BY_DEFAULT = ("convnext_atto", "swin_tiny_patch4_window7_224", "mobilenetv4_conv_small_050")
WITH_ONNX = ("deit_tiny_patch16_224", "swin_tiny_patch4_window7_224")
LARGE = 10e6  # parameters
WITH_OPENVINO = ("convnext_atto", "swin_tiny_patch4_window7_224")

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("paddle2onnx", "onnx", "onnxruntime")),
    reason="the extra imgcls[onnx] is not installed",
)


def some_or_full(by_default: tuple[str, ...]) -> list:
    assert set(by_default) <= set(families())
    return [pytest.param(name, marks=[] if name in by_default else [pytest.mark.full]) for name in NAMES]


@pytest.fixture(autouse=True)
def _free_memory():
    yield
    gc.collect()


def less(name: str) -> dict[str, str]:
    return quick(name) if name in families() else {}


def exported(name: str, directory, kind: str) -> dict[str, float]:
    """The differences that ``export`` found between the graph and the network, over the range of the logits."""
    network = filled(name, SIZE, **less(name))
    images = bundled_photos(uncropped(SIZE), every=18)
    logits = NetworkPredictor(network, uncropped(SIZE)).logits(images)
    any_size = kind == "paddle" and not module(name).__name__.endswith(OWN_SIZE)
    contract = contract_of(name, SIZE, "float", "logits", any_size)
    found = export(network, contract, directory, images, *([] if kind == "paddle" else [kind]))
    if kind == "paddle":
        assert paddle.jit.load(str(directory / "inference")) is not None
    return {way: difference / float(np.ptp(logits)) for way, difference in found.items()}


def differences_of(name: str, directory, kind: str) -> dict[str, float]:
    """``exported``; of a large network in a process of its own, at whose end what engines keep is given back."""
    if imgcls.model_info(name).params < LARGE or less(name):
        return exported(name, directory, kind)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(exported, name, directory, kind).result()


@pytest.mark.parametrize("name", some_or_full(BY_DEFAULT))
def test_paddle_graphs(name, tmp_path):
    """Under ``paddle.inference`` with and without oneDNN, and under ``paddle.jit``."""
    differences = differences_of(name, tmp_path / "out", "paddle")
    show(name, differences)
    assert differences
    assert max(differences.values()) <= TOLERANCE


@needs_onnx
@pytest.mark.parametrize("name", some_or_full(WITH_ONNX))
def test_onnx_graphs(name, tmp_path):
    differences = differences_of(name, tmp_path / "out", "onnx")
    show(name, differences)
    assert max(differences.values()) <= TOLERANCE


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="the extra imgcls[openvino] is not installed")
@pytest.mark.parametrize("name", some_or_full(WITH_OPENVINO))
def test_openvino_graphs(name, tmp_path):
    differences = differences_of(name, tmp_path / "out", "openvino")
    show(name, differences)
    assert max(differences.values()) <= TOLERANCE
