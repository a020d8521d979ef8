"""Batch norms that keep what they know while everything around them is trained."""

import logging

import numpy as np
import paddle
import pytest
from paddle import nn

import imgcls
from imgcls.engine.freezing import freeze
from imgcls.engine.optimizers import build_optimizer
from imgcls.engine.sync_batch_norm import synchronise_batch_norms
from imgcls.errors import UserError
from imgcls.models.layer_norm import LayerNorm


@pytest.mark.parametrize("synchronised", [False, True])
def test_nothing_of_a_batch_norm_changes(synchronised):
    paddle.seed(0)
    network = imgcls.create_model("mobilenetv1_x0_25", num_classes=3)
    if synchronised:
        network = synchronise_batch_norms(network)
    frozen = freeze(network, [], batch_norms=True)
    norms = {key for key in network.state_dict() if "_mean" in key or "_variance" in key or ".bn." in key}
    before = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    network.train()
    for layer in frozen:
        layer.eval()
    optimizer = build_optimizer("momentum", network, 0.1, momentum=0.9, use_nesterov=False)
    network(paddle.rand([2, 3, 64, 64])).sum().backward()
    optimizer.step()
    changed = {key for key, tensor in network.state_dict().items() if not np.array_equal(tensor.numpy(), before[key])}
    assert norms
    assert not changed & norms
    assert {key for key in before if key.endswith("conv.weight")} <= changed


def test_a_network_without_batch_norms_stays_as_it_is():
    network = imgcls.create_model("squeezenet1_1", num_classes=3)
    assert freeze(network, [], batch_norms=True) == []
    assert not any(parameter.stop_gradient for parameter in network.parameters())
    with pytest.raises(UserError, match="names every parameter"):
        freeze(network, ["*"], batch_norms=True)


@pytest.mark.parametrize(("norm", "warned"), [(nn.LayerNorm, True), (LayerNorm, False)])
def test_a_frozen_norm_of_paddle_is_told_of(norm, warned, caplog):
    """Only of those whose gradients are wrong, and only where they are."""
    network = nn.Sequential(nn.Linear(2, 3), norm(3), nn.Linear(3, 4))
    with caplog.at_level(logging.WARNING, "imgcls"):
        freeze(network, ["0.*"])
        assert not caplog.messages
        freeze(network, ["1.*"])
    assert [message.startswith("1 is frozen, a paddle.nn.LayerNorm") for message in caplog.messages] == [True] * warned
