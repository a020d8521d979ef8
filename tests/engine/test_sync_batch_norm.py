"""The batch norm over all ranks, with one rank: then it is Paddle's own. tests/distributed has it with two."""

import numpy as np
import paddle
import pytest
from paddle import nn

from imgcls.engine.sync_batch_norm import SyncBatchNorm, synchronise_batch_norms


def pair(data_format: str = "NCHW", **options):
    """The same batch norm twice, the second one synchronised."""
    paddle.seed(1)
    own = nn.BatchNorm2D(3, data_format=data_format, **options)
    if own.weight is not None:
        own.weight.set_value(paddle.randn([3]))
        own.bias.set_value(paddle.randn([3]))
    copy = nn.BatchNorm2D(3, data_format=data_format, **options)
    copy.set_state_dict(own.state_dict())
    return own, synchronise_batch_norms(copy)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.6, "epsilon": 1e-3},
        {"data_format": "NHWC"},
        {"weight_attr": False, "bias_attr": False},
        {"use_global_stats": True},
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_it_is_paddles_batch_norm(options, training):
    """Outputs, gradients and running statistics over three batches that are far from centred."""
    own, sync = pair(**options)
    assert isinstance(sync, SyncBatchNorm)
    shape = [4, 5, 6, 3] if options.get("data_format") == "NHWC" else [4, 3, 5, 6]
    for norm in (own, sync):
        norm.train() if training else norm.eval()
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.normal(100, 2, shape).astype("float32")
        weights = paddle.to_tensor(rng.normal(size=shape).astype("float32"))
        gradients = []
        for norm in (own, sync):
            image = paddle.to_tensor(x, stop_gradient=False)
            y = norm(image)
            (y * weights).sum().backward()
            parameters = [norm.weight.grad.numpy(), norm.bias.grad.numpy()] if norm.weight is not None else []
            gradients.append([y.numpy(), image.grad.numpy(), *parameters])
            norm.clear_gradients()
        for one, other in zip(*gradients, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(sync._mean.numpy(), own._mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(sync._variance.numpy(), own._variance.numpy(), rtol=1e-4)


def test_names_and_parameters_stay():
    """A synchronised network loads and saves the same checkpoints."""
    network = nn.Sequential(nn.Conv2D(3, 4, 1), nn.Sequential(nn.BatchNorm2D(4), nn.ReLU()))
    before = network.state_dict()
    names = {key: tensor.name for key, tensor in before.items()}
    after = synchronise_batch_norms(network).state_dict()
    assert {key: tensor.name for key, tensor in after.items()} == names
    assert all(after[key] is before[key] for key in before)
    assert isinstance(network[1][0], SyncBatchNorm)
    trained = [parameter.name for parameter in network.parameters() if not parameter.stop_gradient]
    assert len(trained) == 4
