"""The two forms of ACNet: fused weights and logits against those of the original conversion."""

import json
import runpy

import numpy as np
import paddle
import pytest
from locations import REFERENCE

from imgcls import create_model
from imgcls.errors import UserError
from imgcls.models.acnet import fuse
from imgcls.models.layers import fluid_names

EXPECTED = json.loads((REFERENCE / "acnet.json").read_text())
weights = runpy.run_path(str(REFERENCE / "weights.py"))


@pytest.fixture(scope="module")
def training_weights():
    gain = EXPECTED["gain"], EXPECTED["gain_on"]
    return {
        p["name"]: weights["make_parameter"](p["name"], p["shape"], p["role"], *gain)
        for p in EXPECTED["training_parameters"]
    }


def load(network, state):
    for tensor in network.state_dict().values():
        tensor.set_value(state[tensor.name])
    network.eval()
    return network


def count_parameters(network):
    return sum(p.size for p in network.parameters() if not p.stop_gradient)


def test_fused_weights_are_those_of_the_original_conversion(training_weights):
    fused = fuse(training_weights)
    assert list(fused) == [p["name"] for p in EXPECTED["deploy_parameters"]]
    for p in EXPECTED["deploy_parameters"]:
        value = fused[p["name"]]
        assert list(value.shape) == p["shape"]
        assert value.dtype == np.float32
        if "fused" in p:
            np.testing.assert_allclose(value.ravel()[:4], p["fused"]["first"], rtol=1e-5, atol=1e-6)
            scale = np.sqrt(p["fused"]["sum_of_squares"] * value.size)
            np.testing.assert_allclose(value.sum(dtype=np.float64), p["fused"]["sum"], atol=1e-6 * scale)
            np.testing.assert_allclose(np.sum(value.astype(np.float64) ** 2), p["fused"]["sum_of_squares"], rtol=1e-5)
        else:
            np.testing.assert_array_equal(value, training_weights[p["name"]])


def test_both_forms_give_the_logits_of_the_original(training_weights):
    training = load(create_model("resnet50_acnet"), training_weights)
    deploy = training.to_deploy()
    assert list(fluid_names(deploy).values()) == [p["name"] for p in EXPECTED["deploy_parameters"]]
    assert count_parameters(training) == EXPECTED["num_params_training"]
    assert count_parameters(deploy) == EXPECTED["num_params_deploy"]

    images = paddle.to_tensor(weights["make_input"](EXPECTED["input_size"]))
    with paddle.no_grad():
        training_logits, deploy_logits = training(images).numpy(), deploy(images).numpy()
    tolerance = 1e-5 * EXPECTED["logits_std"]
    np.testing.assert_allclose(training_logits, EXPECTED["logits_training"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(deploy_logits, EXPECTED["logits_deploy"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(deploy_logits, training_logits, rtol=0, atol=tolerance)


def test_deploy_form_keeps_class_count_and_channels():
    paddle.seed(0)
    network = create_model("resnet18_acnet", num_classes=7, in_channels=4)
    images = paddle.randn([8, 4, 64, 64])
    network(images)  # in training mode, so that the running statistics are not those of a fresh network
    network.eval()
    deploy = network.to_deploy()
    assert not deploy.training
    with paddle.no_grad():
        expected = network(images).numpy()
        np.testing.assert_allclose(deploy(images).numpy(), expected, atol=1e-5 * np.abs(expected).max())


def test_fused_weights_are_not_fused_again(training_weights):
    with pytest.raises(UserError, match="fused already"):
        fuse(fuse(training_weights))
