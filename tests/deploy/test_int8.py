"""int8 exports: what they cost is measured and bounded, by the network's own data."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import paddle
import pytest
from locations import ROOT
from paddle import nn

from imgcls.deploy.contract import read_contract
from imgcls.deploy.exporter import export
from imgcls.deploy.int8 import LabelledImages, quantize
from imgcls.deploy.predictor import NetworkPredictor, open_export
from imgcls.errors import UserError

CLASSES = 20
PACKAGES = {"openvino": ("openvino", "nncf"), "onnx": ("paddle2onnx", "onnx", "onnxruntime")}
FILES = {"openvino": ["inference.bin", "inference.xml", "inference.yaml"], "onnx": ["inference.onnx", "inference.yaml"]}


FULL = pytest.mark.full


def require(graph):
    for package in PACKAGES[graph]:
        if find_spec(package) is None:  # NNCF is not imported here: later signals to this process would be crashes
            pytest.skip(f"needs {package}")


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


def quantized(graph, network, contract, images, labels, max_drop, directory):
    def shrink(partial, of):
        return quantize(partial, of, images[:16], LabelledImages(images, labels), max_drop)

    return export(network, contract, directory, images[:4], graph, shrink)


@pytest.mark.parametrize(
    ("graph", "input"),
    [
        ("openvino", "float"),
        ("onnx", "uint8"),
        pytest.param("openvino", "uint8", marks=FULL),
        pytest.param("onnx", "float", marks=FULL),
    ],
)
def test_it_is_near_and_says_what_it_costs(input, graph, network, contract, images, tmp_path):
    require(graph)
    contract = replace(contract, input=input)
    expected = NetworkPredictor(network, contract.preprocessing).logits(images)
    labels = expected.argmax(axis=1)
    quantized(graph, network, contract, images, labels, 0.5, tmp_path / "int8")
    assert sorted(path.name for path in tmp_path.joinpath("int8").iterdir()) == FILES[graph]
    found = open_export(tmp_path / "int8").logits(images)
    difference = np.abs(found - expected).max() / np.ptp(expected)
    assert 1e-5 < difference < 0.1, "it is int8, and right"
    cost = read_contract(tmp_path / "int8").quantization
    assert (cost["float"], cost["pictures"], cost["of_layers"]) == (1.0, 48, 3)
    assert cost["int8"] == cost["same_class"] == round(float((found.argmax(axis=1) == labels).mean()), 4)
    assert 1 <= cost["layers"] <= 3


@pytest.mark.parametrize("graph", ["openvino", pytest.param("onnx", marks=FULL)])
def test_a_bound_that_cannot_be_kept_is_refused(graph, network, contract, images, tmp_path):
    """Labels by the smallest of differences: whatever is rounded, some of them change."""
    require(graph)
    logits = NetworkPredictor(network, contract.preprocessing).logits(images)
    flat = nn.Sequential(network, _Flat(60 / float(np.abs(logits).max())))
    flat.eval()
    labels = NetworkPredictor(flat, contract.preprocessing).logits(images).argmax(axis=1)
    with pytest.raises(UserError, match=r"cannot be had within export\.max_drop=0: .* on 48 pictures is 1\.0000 in"):
        quantized(graph, flat, contract, images, labels, 0.0, tmp_path / "int8")
    assert list(tmp_path.iterdir()) == []


class _Flat(nn.Layer):
    """All classes nearly alike."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, logits):
        return paddle.sin(logits * self.by)


def test_layers_go_back_to_float_until_the_bound_holds(network, contract, images, tmp_path):
    require("onnx")
    logits = NetworkPredictor(network, contract.preprocessing).logits(images)
    flat = nn.Sequential(network, _Flat(20 / float(np.abs(logits).max())))
    flat.eval()
    labels = NetworkPredictor(flat, contract.preprocessing).logits(images).argmax(axis=1)
    quantized("onnx", flat, contract, images, labels, 1.0, tmp_path / "all")
    everything = read_contract(tmp_path / "all").quantization
    assert everything["layers"] == everything["of_layers"] == 3
    allowed = 1 - everything["int8"] - 0.02
    quantized("onnx", flat, contract, images, labels, allowed, tmp_path / "some")
    some = read_contract(tmp_path / "some").quantization
    assert 1 <= some["layers"] < 3
    assert some["int8"] >= 1 - allowed > everything["int8"]
    assert some["largest_difference"] < everything["largest_difference"]


def test_a_signal_while_it_is_made_ends_the_export_and_leaves_nothing(tmp_path):
    """What is at work then is a process that a signal would crash."""
    require("openvino")
    words = ["data=synthetic", "data.train_size=8", "data.val_size=8", "transform.size=64", "export.num_workers=0"]
    words += ["export.format=openvino", "export.quantize=int8", "export.check=false", "export.dir=served"]
    command = [sys.executable, "-m", "imgcls.export", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 120
        while not (maker := children(process.pid)) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert maker, process.communicate()[1]
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Stopped by SIGTERM" in said
    assert "Traceback" not in said
    while Path(f"/proc/{maker[0]}").exists() and time.monotonic() < until + 120:
        time.sleep(0.02)  # it ends with its parent
    assert not Path(f"/proc/{maker[0]}").exists()
    assert not (tmp_path / "served").exists()
    assert [path.name for path in tmp_path.rglob("*") if "served" in path.name] == []


def children(pid: int) -> list[int]:
    """Processes at work on int8 that a process has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_bytes().rpartition(b")")[2].split()[1])
            words = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and b"int8_process" in words:
            found.append(int(place.name))
    return found
