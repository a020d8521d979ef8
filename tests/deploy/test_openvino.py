"""Exports under OpenVINO: the network's numbers from every kind of graph, however batches are divided and kept."""

import os
import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest
from locations import ROOT

import imgcls
from imgcls.deploy import onnx_graph
from imgcls.deploy.contract import read_contract
from imgcls.deploy.exporter import export
from imgcls.deploy.openvino_engine import openvino, openvino_core
from imgcls.deploy.predictor import NetworkPredictor, open_export
from imgcls.errors import UserError
from imgcls.models import swin

pytest.importorskip("openvino")
NEAR = 1e-4


@pytest.fixture(scope="module")
def expected(squeezenet, contract_for, images):
    return NetworkPredictor(squeezenet, contract_for().preprocessing).logits(images)


@pytest.fixture(scope="module")
def own(squeezenet, contract_for, images, tmp_path_factory):
    """An export in OpenVINO's own files, to a path of another script."""
    directory = tmp_path_factory.mktemp("own") / "我的照片" / "export (1)"
    differences = export(squeezenet, contract_for(), directory, images, "openvino")
    assert set(differences) == {"openvino"}
    return directory


def test_every_kind_of_graph(own, exports, images, expected, tmp_path):
    assert sorted(path.name for path in own.iterdir()) == ["inference.bin", "inference.xml", "inference.yaml"]
    assert read_contract(own).graph == "openvino"
    paddle = shutil.copytree(exports["float"], tmp_path / "照片 (2)")
    for directory in (own, paddle):
        assert np.abs(open_export(directory, "openvino").logits(images) - expected).max() < NEAR
    probabilities = open_export(exports["uint8"], "openvino").probabilities(images)
    assert np.abs(probabilities.sum(axis=1) - 1).max() < 1e-5
    assert (probabilities.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_an_onnx_graph(exports, images, expected, tmp_path, monkeypatch):
    """That of a Paddle export, which onnxruntime has made for itself, once, and whole."""
    for package in ("paddle2onnx", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "我的 cache"))
    assert np.abs(open_export(exports["float"], "onnxruntime").logits(images) - expected).max() < NEAR
    (kept,) = (tmp_path / "我的 cache" / "onnx").iterdir()
    assert [path.name for path in kept.iterdir()] == ["inference.onnx"]
    preprocessing = read_contract(exports["float"]).preprocessing
    assert np.abs(openvino(kept)(preprocessing.normalize_array(images)) - expected).max() < NEAR
    monkeypatch.setattr(onnx_graph, "CONVERTER", "raise SystemExit(3)")
    open_export(exports["float"], "onnxruntime")
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "other"))
    with pytest.raises(UserError, match="paddle2onnx cannot convert"):
        open_export(exports["float"], "onnxruntime")
    assert list((tmp_path / "other" / "onnx").iterdir()) == [], "nothing half-made is left"


@pytest.mark.parametrize("options", [{}, {"mode": "throughput"}, {"mode": "throughput", "threads": 3}, {"threads": 1}])
def test_batches_of_any_number_in_any_order(options, own, images, expected):
    predictor = open_export(own, "openvino", **options)
    for count in (3, 1, 4, 3):
        found = predictor.logits(images[:count])
        assert found.shape == (count, 1000)
        assert np.abs(found - expected[:count]).max() < NEAR
    kept = predictor.logits(images)
    predictor.logits(images[::-1])
    assert np.abs(kept - expected).max() < NEAR, "the answer of a batch is not written over by the next"


def test_what_is_compiled_is_kept_whole(own, images, expected, tmp_path):
    def logits():
        run = openvino(own, model_cache=tmp_path)
        return open_export(own, "openvino").contract, run(np.ascontiguousarray(normalised))

    normalised = read_contract(own).preprocessing.normalize_array(images)
    first = logits()[1]
    (kept,) = tmp_path.iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:-1000])  # a disk that lost its end
    assert (logits()[1] == first).all()
    assert kept.read_bytes()[:32] == __import__("hashlib").sha256(kept.read_bytes()[32:]).digest()
    before = kept.stat().st_mtime_ns
    assert (logits()[1] == first).all()
    assert kept.stat().st_mtime_ns == before, "the third process compiles nothing"
    assert np.abs(first - expected).max() < NEAR


def test_float32_unless_asked(own, images, expected):
    """By itself OpenVINO takes bfloat16 on processors that have it."""
    if "BF16" not in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(UserError, match="cannot compute in bfloat16"):
            open_export(own, "openvino", bfloat16=True)
        return
    far = np.abs(open_export(own, "openvino", bfloat16=True).logits(images) - expected).max()
    assert NEAR < far < 1


def test_a_missing_package_is_named(exports, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs the package openvino.*pip install "imgcls\[openvino\]"'):
        open_export(exports["float"], "openvino")


def require_same_numbers(name, network, contract_for, directory):
    from matrix import images_for_any, uncropped

    images = images_for_any(64)
    contract = contract_for(model=name, preprocessing=uncropped(64), class_names=tuple(map(str, range(1000))))
    export(network, contract, directory / name)
    expected = NetworkPredictor(network, uncropped(64)).logits(images)
    found = open_export(directory / name, "openvino").logits(images)
    assert np.abs(found - expected).max() <= NEAR * np.ptp(expected)


@pytest.mark.parametrize("name", ["mobilenetv3_small_x1_0", pytest.param("darts_4m", marks=pytest.mark.full)])
def test_networks_with_other_operators(name, contract_for, tmp_path):
    """Squeeze and excitation, swish; and where a pass of oneDNN fails."""
    from matrix import filled

    network = filled(name)
    require_same_numbers(name, network, contract_for, tmp_path)
    assert imgcls.model_info(name).name == name


def test_attention(contract_for, tmp_path, monkeypatch):
    """Of a shape that OpenVINO 2026.4 fuses wrongly where it knows the number of images, too."""
    monkeypatch.setitem(swin.SIZES, "tiny", (64, 4, (1, 1, 1, 1)))
    name = "swin_tiny_patch4_window7_224"
    paddle.seed(1)
    network = imgcls.create_model(name)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.set_value(paddle.randn(parameter.shape) / parameter.shape[0] ** 0.5)
    require_same_numbers(name, network, contract_for, tmp_path)


def test_a_signal_after_engines_that_went(own, images):
    """Each has a stack for handlers of signals, on processors with AMX, and some go back to one that is gone."""
    code = """
import os, signal, sys
import numpy as np
from imgcls.deploy.predictor import open_export
engines = [open_export(sys.argv[1], "openvino") for _ in range(2)]
for engine in engines:
    engine.logits(np.load(sys.argv[2]))
del engine, engines[0]
del engines
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""
    np.save(own.parent / "images.npy", images)
    command = [sys.executable, "-c", code, str(own), str(own.parent / "images.npy")]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (result.returncode, result.stdout) == (0, "handled\n"), result.stderr
