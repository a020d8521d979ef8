"""int8 exports: what they cost is measured and bounded, by the network's own data."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from imgcls.deploy.contract import read_contract
from imgcls.deploy.exporter import export
from imgcls.deploy.predictor import NetworkPredictor, open_export
from imgcls.errors import UserError

pytest.importorskip("nncf")
from imgcls.deploy.int8 import LabelledImages, quantize

CLASSES = 20


@pytest.fixture(scope="module")
def network():
    paddle.seed(3)
    layers = [
        nn.Conv2D(3, 8, 3, 2),
        nn.ReLU(),
        nn.Conv2D(8, 16, 3, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2D(1),
        nn.Flatten(),
    ]
    network = nn.Sequential(*layers, nn.Linear(16, CLASSES))
    network.eval()
    return network


@pytest.fixture(scope="module")
def contract(contract_for):
    from matrix import uncropped

    return contract_for(preprocessing=uncropped(32), class_names=tuple(map(str, range(CLASSES))))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (48, 32, 32, 3), np.uint8)


def quantized(network, contract, images, labels, max_drop, directory):
    def shrink(partial, of):
        return quantize(partial, of, images[:16], LabelledImages(images, labels), max_drop)

    return export(network, contract, directory, images[:4], "openvino", shrink)


@pytest.mark.parametrize("input", ["float", "uint8"])
def test_it_is_near_and_says_what_it_costs(input, network, contract, images, tmp_path):
    contract = replace(contract, input=input)
    expected = NetworkPredictor(network, contract.preprocessing).logits(images)
    labels = expected.argmax(axis=1)
    quantized(network, contract, images, labels, 0.5, tmp_path / "int8")
    assert sorted(path.name for path in tmp_path.joinpath("int8").iterdir()) == [
        "inference.bin",
        "inference.xml",
        "inference.yaml",
    ]
    found = open_export(tmp_path / "int8").logits(images)
    difference = np.abs(found - expected).max() / np.ptp(expected)
    assert 1e-5 < difference < 0.1, "it is int8, and right"
    cost = read_contract(tmp_path / "int8").quantization
    assert (cost["float"], cost["pictures"], cost["of_layers"]) == (1.0, 48, 3)
    assert cost["int8"] == cost["same_class"] == round(float((found.argmax(axis=1) == labels).mean()), 4)
    assert 1 <= cost["layers"] <= 3


def test_a_bound_that_cannot_be_kept_is_refused(network, contract, images, tmp_path):
    """Labels by the smallest of differences: whatever is rounded, some of them change."""
    logits = NetworkPredictor(network, contract.preprocessing).logits(images)
    flat = nn.Sequential(network, _Flat(60 / float(np.abs(logits).max())))
    flat.eval()
    labels = NetworkPredictor(flat, contract.preprocessing).logits(images).argmax(axis=1)
    with pytest.raises(UserError, match=r"cannot be had within export\.max_drop=0: .* on 48 pictures is 1\.0000 in"):
        quantized(flat, contract, images, labels, 0.0, tmp_path / "int8")
    assert list(tmp_path.iterdir()) == []


class _Flat(nn.Layer):
    """All classes nearly alike."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, logits):
        return paddle.sin(logits * self.by)
