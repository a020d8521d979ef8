"""Every family from weights in the original's format to a head of five classes, and one step of training."""

import json

import numpy as np
import paddle
import pytest
import weights
from locations import REFERENCE
from zoo import RENUMBERED

import imgcls
from imgcls.engine.batch import Batch, batch_loss
from imgcls.engine.optimizers import build_optimizer
from imgcls.weights.fluid.files import write_directory

SMALLEST = {}
for _info in sorted(map(imgcls.model_info, imgcls.list_models()), key=lambda info: info.params):
    if (REFERENCE / "models" / f"{_info.published_name}.json").exists():
        SMALLEST.setdefault(_info.module, _info)


@pytest.mark.parametrize("family", sorted(SMALLEST))
def test_one_step_from_fluid_weights(family, build, tmp_path):
    info = SMALLEST[family]
    build = imgcls.create_model if family in RENUMBERED else build
    spec = json.loads((REFERENCE / "models" / f"{info.published_name}.json").read_text())
    roles = {item["name"]: item["role"] for item in spec["parameters"]}
    with paddle.LazyGuard():
        tensors = build(info.name).state_dict().values()
    values = {
        tensor.name: weights.make_parameter(
            tensor.name, tensor.shape, roles[tensor.name], spec["gain"], spec["gain_on"]
        )
        for tensor in tensors
    }
    write_directory(tmp_path / "pretrained", values)

    network = build(info.name, num_classes=5, pretrained=tmp_path / "pretrained")
    body = {key: tensor for key, tensor in network.state_dict().items() if "head" not in key}
    assert body
    for key, tensor in body.items():
        assert np.array_equal(tensor.numpy(), values[tensor.name]), key

    size = 139 if info.input_size == 299 else 96
    images, labels = paddle.to_tensor(weights.make_input(size)), paddle.to_tensor([0, 4])
    optimizer = build_optimizer("momentum", network, lr=1e-3, momentum=0.9, use_nesterov=False)
    head = network.head.weight.numpy().copy()
    network.train()
    loss = batch_loss(network(images), Batch(images, labels, labels, global_size=2))
    loss.backward()
    optimizer.step()
    assert np.isfinite(float(loss))
    assert not np.array_equal(network.head.weight.numpy(), head)
