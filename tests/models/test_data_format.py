"""Channels-last against channels-first: the same numbers from the same weights, and no transpositions in between."""

import gc
from collections import Counter

import numpy as np
import paddle
import pytest
import weights
from paddles import ON_PADDLE_3
from zoo import NAMES, RENUMBERED, filled, small_family_or_full, smaller_size, specification

import imgcls
from imgcls.errors import UserError

TURNED = ("googlenet", "mobilenetv1_x0_25", "mobilenetv2_x0_25", "resnet18", "shufflenetv2_x0_25", "squeezenet1_1")
"""Whose graphs are saved by default: each way of joining maps, and several heads."""

TRAINED = 5e7  # parameters a network may have to be trained in double precision


@pytest.fixture(autouse=True)
def _free_memory():
    """Translated networks refer to themselves, and would pile up."""
    yield
    gc.collect()


def assert_close(ours: np.ndarray, theirs: np.ndarray, relative: float = 1e-4, absolute: float = 0.0) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=relative * np.abs(theirs).max() + absolute)


def answers(network: paddle.nn.Layer, images: paddle.Tensor) -> list[np.ndarray]:
    """Logits and features in evaluation mode."""
    with paddle.no_grad():
        return [network(images).numpy(), network.forward_features(images).numpy()]


def training_step(network: paddle.nn.Layer, images: paddle.Tensor) -> dict[str, np.ndarray]:
    """Logits of every head, all gradients and all running statistics after one step from the same start."""
    before = {key: tensor.numpy() for key, tensor in network.named_buffers()}
    paddle.seed(1)
    network.train()
    outputs = network(images)
    heads = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(paddle.nn.functional.cross_entropy(head, paddle.to_tensor([3, 7])) for head in heads).backward()
    found = {f"head {number}": head.numpy() for number, head in enumerate(heads)}
    found |= {f"gradient of {key}": p.grad.numpy() for key, p in network.named_parameters() if p.grad is not None}
    found |= {key: tensor.numpy() for key, tensor in network.named_buffers()}
    network.clear_gradients()
    for key, tensor in network.named_buffers():
        tensor.set_value(before[key])
    return found


@pytest.mark.parametrize("name", map(small_family_or_full, NAMES))
def test_same_numbers(name, build):
    """Logits and features; in training also gradients and running statistics.

    Training is compared in double precision: batch norm over two small images and ReLU make much of
    single precision's rounding.
    """
    whole = imgcls.model_info(name).module in RENUMBERED
    network = filled(name, specification(name), imgcls.create_model if whole else build)
    images = paddle.to_tensor(weights.make_input(smaller_size(name)))
    state = {key: (tensor.name, tensor.shape) for key, tensor in network.state_dict().items()}
    expected = answers(network, images)
    network.set_data_format("NHWC")
    assert {key: (tensor.name, tensor.shape) for key, tensor in network.state_dict().items()} == state
    for ours, theirs in zip(answers(network, images), expected, strict=True):
        assert_close(ours, theirs)

    if imgcls.model_info(name).params > TRAINED:
        return
    network.to(dtype="float64")
    images = images.astype("float64")
    channels_last = training_step(network, images)
    network.set_data_format("NCHW")
    channels_first = training_step(network, images)
    assert channels_last.keys() == channels_first.keys()
    for key, value in channels_first.items():
        # the gradient of an offset that a batch norm takes away again is rounding alone
        assert_close(channels_last[key], value, relative=1e-7, absolute=1e-10)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in TURNED else [pytest.mark.full]) for name in NAMES]
)
def test_static_graph(name, build, tmp_path):
    """Saved by ``paddle.jit`` for any number and size of images: the same numbers, and maps are turned but twice."""
    paddle.seed(1)
    network = build(name, data_format="NHWC")
    network.eval()
    spec = paddle.static.InputSpec([None, 3, None, None])
    paddle.jit.save(network, str(tmp_path / "network"), input_spec=[spec])
    loaded = paddle.jit.load(str(tmp_path / "network"))
    for number, size in ((2, smaller_size(name)), (1, smaller_size(name) + 37)):
        images = paddle.to_tensor(weights.make_input(size)[:number])
        with paddle.no_grad():
            assert_close(loaded(images).numpy(), network(images).numpy())
    names = [op.name() if ON_PADDLE_3 else op.type for block in loaded.program().blocks for op in block.ops]
    assert Counter(names)["pd_op.transpose" if ON_PADDLE_3 else "transpose2"] == 2


def test_weights_go_from_one_format_into_the_other(tmp_path):
    paddle.seed(0)
    images = paddle.randn([2, 3, 64, 64])
    network = imgcls.create_model("se_resnet18_vd", num_classes=5, data_format="NHWC")
    network(images)
    network.eval()
    paddle.save(network.state_dict(), str(tmp_path / "weights.pdparams"))
    other = imgcls.create_model("se_resnet18_vd", num_classes=5)
    other.set_state_dict(paddle.load(str(tmp_path / "weights.pdparams")))
    other.eval()
    with paddle.no_grad():
        expected = network(images).numpy()
        assert_close(other(images).numpy(), expected)
        other.set_data_format("NHWC")
        assert_close(other(images).numpy(), expected)
        other.set_data_format("NCHW")
        assert_close(other(images).numpy(), expected)


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenetv3_small_x0_25", "googlenet"])
def test_a_new_head_fits_channels_last(name):
    """Also where the head is a convolution, or one of several."""
    network = imgcls.create_model(name, data_format="NHWC")
    network.reset_head(7)
    outputs = network(paddle.randn([2, 3, 96, 96]))
    for logits in outputs if isinstance(outputs, tuple) else (outputs,):
        assert logits.shape == [2, 7]


def test_acnet_keeps_its_format_when_fused():
    network = imgcls.create_model("resnet18_acnet", num_classes=5, data_format="NHWC")
    network.eval()
    assert network.to_deploy().data_format == "NHWC"


def test_valid_padding_crops_the_right_axes():
    """EfficientNet's other paddings, whose shortcuts are cut to size."""
    paddle.seed(0)
    options = {"width": 0.5, "depth": 0.5, "padding_type": "VALID", "num_classes": 5}
    network = imgcls.create_model("efficientnetb0", **options)
    assert any(getattr(layer, "residual", False) and layer.margin for layer in network.sublayers())
    network.eval()
    images = paddle.randn([1, 3, network.min_input_size, network.min_input_size + 40])
    with paddle.no_grad():
        expected = network.forward_features(images).numpy()
        assert np.ptp(expected) > 0
        network.set_data_format("NHWC")
        np.testing.assert_allclose(network.forward_features(images).numpy(), expected, rtol=1e-4, atol=1e-12)


def test_unknown_format():
    with pytest.raises(UserError, match="resnet18: data_format=NWHC is not possible"):
        imgcls.create_model("resnet18", data_format="NWHC")
