"""The moving average against the trajectory of the original."""

import json

import numpy as np
import paddle
import pytest
from locations import REFERENCE
from paddle import nn

from imgcls.engine.optimizers import OptimizerLR, build_optimizer
from imgcls.functional import averaging
from imgcls.functional.averaging import ema_decay_at
from imgcls.functional.schedules import build_schedule

EXPECTED = json.loads((REFERENCE / "ema.json").read_text())
PROBLEM = EXPECTED["problem"]


@pytest.mark.parametrize("run", EXPECTED["runs"].values(), ids=EXPECTED["runs"])
def test_ten_steps_equal_the_original(run):
    network = nn.Linear(3, 1)
    network.weight.set_value(np.array(PROBLEM["w0"], "float32").reshape(3, 1))
    network.bias.set_value(np.array(PROBLEM["b0"], "float32"))
    x, t = paddle.to_tensor(PROBLEM["x"]), paddle.to_tensor(PROBLEM["t"])
    scheduler = OptimizerLR(
        build_schedule("piecewise", base_lr=0.1, steps_per_epoch=4, epochs=8, boundaries=(2, 4, 6), decay_rate=0.1)
    )
    optimizer = build_optimizer("momentum", network, scheduler, momentum=0.9, use_nesterov=False, weight_decay=1e-4)
    current = network.state_dict()
    shadow = averaging.start(current)
    for expected in run["steps"]:
        (network(x) - t).square().mean().backward()
        optimizer.step()
        optimizer.clear_grad()
        scheduler.step()
        decay = ema_decay_at(expected["step"], run["ema_decay"])
        averaging.update(shadow, current, decay)
        for actual, key in (
            (decay, "decay"),
            (network.weight, "w"),
            (network.bias, "b"),
            (shadow["weight"], "w_ema"),
            (shadow["bias"], "b_ema"),
        ):
            np.testing.assert_allclose(np.ravel(actual), np.ravel(expected[key]), rtol=1e-6, atol=1e-7, err_msg=key)


def test_decay_warms_up_unless_told_otherwise():
    assert ema_decay_at(0, 0.9999) == 0.1
    assert ema_decay_at(89_990, 0.9999) == pytest.approx(0.9999, abs=1e-9)
    assert ema_decay_at(10**6, 0.9999) == 0.9999
    assert ema_decay_at(0, 0.9999, warmup=False) == 0.9999


def test_batch_norm_statistics_are_averaged():
    network = nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4))
    current = network.state_dict()
    shadow = averaging.start(current)
    network(paddle.randn([8, 3, 9, 9]) * 3 + 1)
    averaging.update(shadow, current, 0.1)
    assert set(shadow) == {"0.weight", "0.bias", "1.weight", "1.bias", "1._mean", "1._variance"}
    for key, value in network.state_dict().items():
        np.testing.assert_allclose(shadow[key].numpy(), 0.9 * value.numpy(), rtol=1e-6, atol=1e-7)
    assert float(shadow["1._mean"].abs().sum()) > 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_average_is_float32_and_sees_what_low_precision_would_round_away(dtype):
    parameter = paddle.ones([4]).astype(dtype)
    shadow = averaging.start({"w": parameter}, from_zero=False)
    assert shadow["w"].dtype == paddle.float32
    for _ in range(100):
        averaging.update(shadow, {"w": (parameter * 2).astype(dtype)}, 0.9999)
    np.testing.assert_allclose(shadow["w"].numpy(), 2 - 0.9999**100, rtol=1e-6)


def test_updates_are_in_place_and_do_not_reach_the_network():
    network = nn.Linear(2, 2)
    current = network.state_dict()
    shadow = averaging.start(current, from_zero=False)
    before = {name: tensor.numpy() for name, tensor in current.items()}
    tensor = shadow["weight"]
    averaging.update(shadow, {name: value + 1 for name, value in current.items()}, 0.5)
    assert shadow["weight"] is tensor
    np.testing.assert_allclose(tensor.numpy(), before["weight"] + 0.5, rtol=1e-6)
    assert all((network.state_dict()[name].numpy() == value).all() for name, value in before.items())
    assert all(average.stop_gradient for average in shadow.values())


def test_an_average_of_the_same_weights_stays_exactly_those():
    values = paddle.randn([1000])
    shadow = averaging.start({"w": values}, from_zero=False)
    for _ in range(50):
        averaging.update(shadow, {"w": values}, 0.9999)
    assert (shadow["w"].numpy() == values.numpy()).all()


def test_integers_are_left_out():
    assert set(averaging.start({"w": paddle.ones([2]), "count": paddle.zeros([1], "int64")})) == {"w"}
