"""Exports: the network's numbers, whole or absent, and a network that can go on training."""

import importlib.util
import os
import resource
import time
from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn
from paddles import MODEL_FILES, PROGRAM

from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import FILE, read_contract
from imgcls.deploy.engines import onnxruntime
from imgcls.deploy.exporter import ExportDiffers, export
from imgcls.errors import UserError
from imgcls.machine.files import sha256
from imgcls.models.layers import Network, batch_norm, conv2d, linear
from imgcls.models.registry import model_info


class Small(Network):
    """A network of one convolution whose fluid names are as odd as some of the published ones."""

    num_features = 4

    def __init__(self):
        super().__init__()
        self.conv = conv2d(3, 4, 3, weight="xception_41/entry_flow/conv1/weights", bias="res4\x7f\x90_{|}.b_0")
        self.norm = batch_norm(4, "a b\tc:@bn")
        self.dropout = nn.Dropout(0.5)
        self.head = linear(4, 5, weight="fc_0.w_0", bias="猫/fc_0.b_0")

    def forward_features(self, x):
        return self.dropout(self.norm(self.conv(x)))


class TwoFaced(Small):
    """Does something in a program that it does not do eagerly."""

    def forward_features(self, x):
        features = Small.forward_features(self, x)
        return features if paddle.in_dynamic_mode() else features + 0.01


class OneSize(Small):
    """Takes pictures of 16 pixels only."""

    def __init__(self):
        super().__init__()
        self.head = linear(4 * 16 * 16, 5, weight="fc_0.w_0", bias="fc_0.b_0")

    def forward_head(self, features):
        return self.head(features.flatten(1))


SMALL = replace(Preprocessing.of_model(model_info("squeezenet1_1")), size=16, resize_size=16)
KINDS = {
    "float": {"input": "float", "output": "logits"},
    "uint8": {"input": "uint8", "output": "probabilities"},
}


@pytest.fixture
def small_contract(contract_for):
    return contract_for(model="small", preprocessing=SMALL, class_names=tuple("abcde"))


@pytest.fixture
def small_images():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


def eager_logits(network, contract, images):
    network.eval()
    with paddle.no_grad():
        return network(contract.preprocessing.normalize(paddle.to_tensor(images))).numpy()


def test_the_directory_holds_three_files_and_nothing_to_unpickle(exports):
    for directory in exports.values():
        assert sorted(os.listdir(directory)) == sorted([FILE, *MODEL_FILES])
        contract = read_contract(directory)
        assert dict(contract.sha256) == {name: sha256(directory / name) for name in MODEL_FILES}


def test_float_graph_gives_the_bits_of_eager_mode(exports, squeezenet, images, contract_for):
    """Any number of images; and within another layer."""
    expected = eager_logits(squeezenet, contract_for(), images)
    loaded = paddle.jit.load(str(exports["float"] / "inference"))

    class Client(nn.Layer):
        def __init__(self):
            super().__init__()
            self.backbone = loaded

        def forward(self, x):
            return self.backbone(x) * 2

    client = Client()
    client.eval()
    for count in (1, 3, 4):
        x = contract_for().preprocessing.normalize(paddle.to_tensor(images[:count]))
        assert np.array_equal(loaded(x).numpy(), expected[:count])
        assert np.array_equal(client(x).numpy(), 2 * expected[:count])


def test_uint8_graph_takes_bytes_and_gives_probabilities(exports, squeezenet, images, contract_for):
    logits = paddle.to_tensor(eager_logits(squeezenet, contract_for(), images))
    loaded = paddle.jit.load(str(exports["uint8"] / "inference"))
    answers = loaded(paddle.to_tensor(images)).numpy()
    assert np.abs(answers - nn.functional.softmax(logits, axis=1).numpy()).max() < 1e-6
    assert np.abs(answers.sum(axis=1) - 1).max() < 1e-5


def test_the_network_trains_on_as_before(small_contract, small_images, tmp_path):
    network = Small()
    network.train()
    network.norm.eval()  # a frozen layer
    names = [parameter.name for parameter in network.parameters()]
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    for kind in ("uint8", "float", "uint8"):
        contract = replace(small_contract, **KINDS[kind])
        export(network, contract, tmp_path / "out", small_images)
    assert network.training
    assert network.dropout.training
    assert not network.norm.training
    assert not [layer for layer in network.sublayers(include_self=True) if "forward" in vars(layer)]
    assert [parameter.name for parameter in network.parameters()] == names
    assert all(np.array_equal(before[key], value.numpy()) for key, value in network.state_dict().items())
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    network(paddle.randn([2, 3, 16, 16])).sum().backward()
    optimizer.step()
    assert not np.array_equal(before["head.weight"], network.head.weight.numpy())


def test_any_image_size_where_the_network_allows(small_contract, small_images, tmp_path):
    network = Small()
    export(network, replace(small_contract, dynamic_size=True), tmp_path / "any", small_images)
    assert read_contract(tmp_path / "any").dynamic_size
    network.eval()
    loaded = paddle.jit.load(str(tmp_path / "any" / "inference"))
    for height, width in ((16, 16), (7, 31), (40, 20)):
        x = paddle.randn([2, 3, height, width])
        with paddle.no_grad():
            assert np.array_equal(loaded(x).numpy(), network(x).numpy())
    with pytest.raises(UserError, match=r"small is for pictures of 16 x 16 pixels: it cannot take 80 x 48"):
        export(OneSize(), replace(small_contract, dynamic_size=True), tmp_path / "one", small_images)
    assert not (tmp_path / "one").exists()
    export(OneSize(), small_contract, tmp_path / "one", small_images)


def test_features(small_contract, small_images, tmp_path):
    network = Small()
    contract = replace(small_contract, output="features", class_names=(), input="uint8")
    export(network, contract, tmp_path / "out", small_images)
    answers = paddle.jit.load(str(tmp_path / "out" / "inference"))(paddle.to_tensor(small_images)).numpy()
    assert answers.shape == (3, 4)
    network.eval()
    x = contract.preprocessing.normalize(paddle.to_tensor(small_images))
    with paddle.no_grad():
        assert np.abs(answers - network.forward_features(x).mean([2, 3]).numpy()).max() < 1e-5


def test_odd_parameter_names(small_contract, small_images, tmp_path):
    network = Small()
    differences = export(network, small_contract, tmp_path / "out", small_images)
    assert differences.keys() == {"jit", "inference"}
    assert max(differences.values()) < 1e-5


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_a_graph_that_differs_is_not_published(kind, small_contract, small_images, tmp_path):
    contract = replace(small_contract, **KINDS[kind])
    with pytest.raises(ExportDiffers, match="small under inference"):
        export(TwoFaced(), contract, tmp_path / "out", small_images)
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_replaced_and_anything_else_left_alone(small_contract, tmp_path):
    network = Small()
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        export(network, small_contract, tmp_path / name)
    first = read_contract(tmp_path / "new")
    export(Small(), small_contract, tmp_path / "new")
    assert read_contract(tmp_path / "new").sha256 != first.sha256

    (tmp_path / "new" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / PROGRAM).write_text("another program's")
    for name, message in (("new", r"thesis\.tex"), ("file", "is a file"), ("other", "left alone")):
        with pytest.raises(UserError, match=message):
            export(network, small_contract, tmp_path / name)
    assert (tmp_path / "new" / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UserError, match="could not be written: Not a directory"):
        export(network, small_contract, tmp_path / "file" / "below")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "new", "other"]


@pytest.mark.parametrize("kilobytes", [40, 1000])
def test_a_full_disk_leaves_the_export_before(kilobytes, squeezenet, contract_for, exports, tmp_path):
    """A limit on the size of files stands for the full disk; Paddle itself does not notice the second."""
    directory = tmp_path / "out"
    export(squeezenet, contract_for(), directory)
    before = read_contract(directory)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, limits[1]))
    try:
        with pytest.raises(UserError, match=r"could not be written"):
            export(squeezenet, contract_for(), directory)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_contract(directory) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("paddle2onnx", "onnxruntime")), reason="the extra onnx"
)
def test_idle_threads_of_onnxruntime_leave_the_cores_to_others(exports):
    """Where nobody says otherwise they go on turning for tens of milliseconds."""
    run = onnxruntime(exports["float"], threads=2)
    images, spent = np.zeros((4, 3, 224, 224), np.float32), 0.0
    for _ in range(5):
        run(images)
        before = time.process_time()
        time.sleep(0.1)
        spent += time.process_time() - before
    assert spent < 0.02
