"""The gradients of a layer norm on a CPU, of what is asked for, against its formula."""

import numpy as np
import paddle
import pytest
from paddle import nn

from imgcls.models.layer_norm import LayerNorm
from imgcls.models.modern_layers import ChannelNorm

CHANNELS, EPSILON = 6, 1e-6


def by_formula(norm, x, given):
    """Gradients of ``x``, the weight and the bias, in float64."""
    x, given = x.numpy().astype(np.float64), given.numpy().astype(np.float64)
    deviation = np.sqrt(x.var(-1, keepdims=True) + EPSILON)
    normalised = (x - x.mean(-1, keepdims=True)) / deviation
    scaled = given * norm.weight.numpy()
    back = scaled - scaled.mean(-1, keepdims=True) - normalised * (scaled * normalised).mean(-1, keepdims=True)
    return [back / deviation, (given * normalised).sum((0, 1)), given.sum((0, 1))]


@pytest.fixture
def setting():
    """A norm of random weights, what it is given, and the gradient of what it gives."""
    paddle.seed(0)
    norm, x, given = LayerNorm(CHANNELS, EPSILON), paddle.randn([2, 5, CHANNELS]), paddle.randn([2, 5, CHANNELS])
    for tensor in norm.parameters():
        tensor.set_value(paddle.randn(tensor.shape))
    x.stop_gradient = False
    return norm, x, given


@pytest.mark.parametrize("asked", [(0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_of_what_is_asked_for(setting, asked, training):
    """Paddle's own is right for a part of these only."""
    norm, x, given = setting
    norm.training = training
    wanted = [(x, norm.weight, norm.bias)[number] for number in asked]
    found = paddle.grad([norm(x)], wanted, [given])
    for one, number in zip(found, asked, strict=True):
        np.testing.assert_allclose(one.numpy(), by_formula(norm, x, given)[number], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frozen", [("weight",), ("bias",), ("weight", "bias")])
@pytest.mark.parametrize("graph", [False, True])
def test_below_a_frozen_norm(setting, frozen, graph):
    norm, x, given = setting
    for name in frozen:
        getattr(norm, name).stop_gradient = True
    expected = by_formula(norm, x, given)
    if graph:
        paddle.jit.to_static(norm, input_spec=[paddle.static.InputSpec([None, 5, CHANNELS])], full_graph=True)
    paddle.autograd.backward([norm(x)], [given])
    np.testing.assert_allclose(x.grad.numpy(), expected[0], rtol=1e-4, atol=1e-5)
    for name, one in zip(("weight", "bias"), expected[1:], strict=True):
        gradient = getattr(norm, name).grad
        assert (gradient is None) == (name in frozen)
        if gradient is not None:
            np.testing.assert_allclose(gradient.numpy(), one, rtol=1e-4, atol=1e-5)


def test_its_answers_are_the_bits_of_paddle(setting):
    norm, x, _ = setting
    paddles = nn.LayerNorm(CHANNELS, EPSILON)
    paddles.set_state_dict(norm.state_dict())
    assert np.array_equal(norm(x).numpy(), paddles(x).numpy())


def test_maps(setting):
    """The norm of ConvNeXt's stem, whose channels come first."""
    norm, x, given = setting
    maps = ChannelNorm(CHANNELS, EPSILON)
    maps.set_state_dict(norm.state_dict())
    (found,) = paddle.grad([maps(x.transpose([0, 2, 1]).unsqueeze(3))], [x], [given.transpose([0, 2, 1]).unsqueeze(3)])
    np.testing.assert_allclose(found.numpy(), by_formula(norm, x, given)[0], rtol=1e-4, atol=1e-5)
