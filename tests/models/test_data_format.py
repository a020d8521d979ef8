"""Channels-last against channels-first: the same numbers from the same weights, and no transpositions in between."""

from collections import Counter

import numpy as np
import paddle
import pytest
import weights
from zoo import NAMES, filled, one_per_family_or_full, smaller_size, specification

import imgcls
from imgcls.errors import UserError
from imgcls.models.data_format import DATA_FORMATS


def assert_close(ours: np.ndarray, theirs: np.ndarray, what: str = "") -> None:
    assert ours.shape == theirs.shape, what
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max(), what


def update(network: paddle.nn.Layer, images: paddle.Tensor) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Logits of every head in training mode, then gradients and batch-norm statistics of one step by name."""
    paddle.seed(1)
    network.train()
    outputs = network(images)
    heads = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(paddle.nn.functional.cross_entropy(head, paddle.to_tensor([3, 7])) for head in heads).backward()
    state = network.state_dict()
    return [head.numpy() for head in heads], {
        name: (tensor.grad if tensor.grad is not None else tensor).numpy() for name, tensor in state.items()
    }


@pytest.mark.parametrize("name", map(one_per_family_or_full, NAMES))
def test_same_numbers(name):
    """In evaluation and in training: logits, features, gradients, running statistics."""
    spec = specification(name)
    images = paddle.to_tensor(weights.make_input(smaller_size(name)))
    first, last = (filled(name, spec, data_format=data_format) for data_format in DATA_FORMATS)
    assert [(key, t.name, t.shape) for key, t in last.state_dict().items()] == [
        (key, t.name, t.shape) for key, t in first.state_dict().items()
    ]
    with paddle.no_grad():
        assert_close(last(images).numpy(), first(images).numpy())
        assert_close(last.forward_features(images).numpy(), first.forward_features(images).numpy())

    heads, state = update(last, images)
    expected_heads, expected_state = update(first, images)
    for ours, theirs in zip(heads, expected_heads, strict=True):
        assert_close(ours, theirs)
    for key, value in state.items():
        assert_close(value, expected_state[key], key)


@pytest.mark.parametrize("data_format", DATA_FORMATS)
@pytest.mark.parametrize("name", map(one_per_family_or_full, NAMES))
def test_static_graph(name, data_format, tmp_path):
    """Saved by ``paddle.jit`` with a free batch, the network gives the same numbers; maps are turned twice or never."""
    paddle.seed(1)
    size = smaller_size(name)
    network = imgcls.create_model(name, data_format=data_format)
    network.eval()
    images = paddle.to_tensor(weights.make_input(size))
    spec = paddle.static.InputSpec([None, 3, size, size])
    paddle.jit.save(network, str(tmp_path / "network"), input_spec=[spec])
    loaded = paddle.jit.load(str(tmp_path / "network"))
    with paddle.no_grad():
        expected = network(images).numpy()
        np.testing.assert_allclose(loaded(images).numpy(), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(loaded(images[:1]).numpy(), expected[:1], rtol=1e-4, atol=1e-5)
    operators = Counter(op.type for block in loaded.program().blocks for op in block.ops)
    assert operators["transpose2"] == (2 if data_format == "NHWC" else 0)


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
