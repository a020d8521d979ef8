"""Mixed precision as far as a CPU goes: Paddle computes in float32 there, but scaling, casts and masters are real."""

import json
import logging
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle import nn
from test_trainer import Recorder, make_loader, make_trainer

from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.callbacks.nan_guard import NanGuard
from imgcls.engine.amp import FLOAT32, AmpSettings, LossScaler, float32_state, load_float32_state
from imgcls.engine.emulated_bfloat16 import emulate_bfloat16
from imgcls.errors import UserError
from imgcls.functional.averaging import start, update


def settings(level: str, dtype: str, **options) -> AmpSettings:
    return AmpSettings(level, dtype, **{"scale_loss": 128.0, "dynamic": True, "min_scale": 1.0, **options})


@pytest.fixture
def scaler(scaling_here):
    def make(**options):
        return settings("O1", "float16", **options).scaler()

    return make


class Loop:
    """One parameter, one scaler, and losses whose gradient is what the test wants."""

    def __init__(self, scaler: LossScaler):
        self.scaler = scaler
        self.weight = paddle.create_parameter([1], "float32", default_initializer=nn.initializer.Constant(1.0))
        self.optimizer = paddle.optimizer.SGD(0.1, parameters=[self.weight])

    def update(self, gradient: float) -> None:
        self.scaler.scale((self.weight * gradient).sum()).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.clear_grad()


def test_the_scale_cancels_out(scaler):
    loop = Loop(scaler(scale_loss=128.0))
    assert loop.scaler.scale_now == 128
    loop.update(2.0)
    assert float(loop.weight) == pytest.approx(0.8)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_an_overflow_skips_the_update_and_halves_the_scale(scaler, bad, capsys):
    loop = Loop(scaler(scale_loss=128.0))
    loop.update(bad)
    assert float(loop.weight) == 1
    assert loop.scaler.scale_now == 64
    assert loop.scaler.skipped_in_a_row == 1
    loop.update(2.0)
    assert float(loop.weight) == pytest.approx(0.8)
    assert loop.scaler.skipped_in_a_row == 0
    assert capsys.readouterr().out == ""


def test_the_scale_has_a_floor(scaler):
    loop = Loop(scaler(scale_loss=16.0, min_scale=4.0))
    scales = []
    for _ in range(5):
        loop.update(float("inf"))
        scales.append(loop.scaler.scale_now)
    assert scales == [8, 4, 4, 4, 4]


def test_a_static_scale_stays_and_still_skips(scaler):
    loop = Loop(scaler(scale_loss=128.0, dynamic=False))
    loop.update(float("nan"))
    assert loop.scaler.scale_now == 128
    assert loop.scaler.skipped_in_a_row == 1
    assert float(loop.weight) == 1
    loop.update(2.0)
    assert loop.scaler.skipped_in_a_row == 0
    assert float(loop.weight) == pytest.approx(0.8)


def test_the_state_of_a_scaler_is_kept(scaler):
    loop = Loop(scaler(scale_loss=128.0))
    for gradient in (1.0, float("inf"), float("inf")):
        loop.update(gradient)
    resumed = scaler(scale_loss=128.0)
    resumed.load_state_dict(json.loads(json.dumps(loop.scaler.state_dict())))
    assert resumed.scale_now == loop.scaler.scale_now == 32
    assert resumed.skipped_in_a_row == 2
    assert resumed.state_dict() == loop.scaler.state_dict()


def test_too_many_overflows_in_a_row_end_the_run(scaler):
    loop, guard = Loop(scaler(scale_loss=128.0)), NanGuard(every=1000, max_skipped=3)
    guard.set_model(SimpleNamespace(scaler=loop.scaler, progress=SimpleNamespace(step=1)))
    for gradient in (float("inf"), float("inf"), 1.0, float("inf"), float("inf")):
        loop.update(gradient)
        guard.on_train_batch_end(0)
    loop.update(float("inf"))
    with pytest.raises(UserError, match=r"not finite in 3 updates in a row \(loss scale now 4\)"):
        guard.on_train_batch_end(0)


@pytest.mark.parametrize(("level", "dtype"), [("O0", "float16"), ("O1", "bfloat16"), ("O2", "bfloat16")])
def test_only_float16_is_scaled(scaler, level, dtype):
    assert not settings(level, dtype).scaler().is_enable()


@pytest.mark.skipif(paddle.device.is_compiled_with_cuda(), reason="on a GPU both are real")
def test_a_cpu_says_what_it_makes_of_half_precision(caplog):
    with caplog.at_level(logging.WARNING, "imgcls"):
        assert settings("O1", "float16").here() == settings("O0", "float16")
        assert "trainer.amp.level=O1 with float16 has no effect on the CPU" in caplog.text
        assert settings("O1", "bfloat16").here() == settings("O1", "bfloat16", emulated=True)
        assert "bfloat16 is emulated on the CPU" in caplog.text
    caplog.clear()
    assert FLOAT32.here() == FLOAT32
    assert caplog.text == ""


class HalfNetwork(nn.Layer):
    """A network in half precision with float32 masters in its optimizer, as O2 leaves them; casts work anywhere."""

    def __init__(self, dtype: str):
        super().__init__()
        paddle.seed(2)
        self.conv = nn.Conv2D(3, 4, 3)
        self.norm = nn.BatchNorm2D(4)
        masters = {}
        for parameter in self.conv.parameters():
            masters[parameter.name] = parameter.astype("float32") + 1e-4  # not a number that half precision has
            masters[parameter.name].name = f"{parameter.name}_fp32_master_0"
        self.conv.to(dtype=dtype)
        self.optimizer = SimpleNamespace(_master_weights=masters)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_is_saved_are_the_masters(dtype):
    network = HalfNetwork(dtype)
    assert str(network.conv.weight.dtype).endswith(dtype)
    state = float32_state(network, network.optimizer)
    assert state.keys() == network.state_dict().keys()
    assert all(tensor.dtype == paddle.float32 for tensor in state.values())
    assert state["conv.weight"] is network.optimizer._master_weights[network.conv.weight.name]
    assert state["norm.weight"] is network.norm.weight
    without_masters = float32_state(network)
    np.testing.assert_array_equal(without_masters["conv.weight"], network.conv.weight.astype("float32"))
    assert not np.array_equal(without_masters["conv.weight"], state["conv.weight"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_what_was_saved_fills_a_network_of_any_precision(dtype):
    network, other = HalfNetwork(dtype), HalfNetwork(dtype)
    state = {name: tensor.numpy() + 1 for name, tensor in float32_state(network, network.optimizer).items()}
    load_float32_state(other, state)
    for name, tensor in other.state_dict().items():
        expected = paddle.to_tensor(state[name]).astype(tensor.dtype).astype("float32")
        np.testing.assert_array_equal(tensor.astype("float32"), expected)
    with pytest.raises(ValueError, match="another network"):
        load_float32_state(other, {"conv.weight": state["conv.weight"]})
    with pytest.raises(ValueError, match="has shape"):
        load_float32_state(other, {**state, "conv.bias": state["conv.weight"]})


def test_the_average_is_of_the_masters():
    """The difference between a master and its half would be lost in an average of halves."""
    network = HalfNetwork("bfloat16")
    weights = float32_state(network, network.optimizer)
    shadow = start(weights)
    update(shadow, weights, 0.5)
    assert all(tensor.dtype == paddle.float32 for tensor in shadow.values())
    np.testing.assert_allclose(shadow["conv.weight"], weights["conv.weight"].numpy() / 2, rtol=1e-6)


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Rounded to the nearest number of 8 significant bits, ties to even: float32 without its lower half."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


def test_emulated_bfloat16_rounds_operands_and_gradients():
    paddle.seed(3)
    layer, x = nn.Linear(16, 4), paddle.randn([8, 16])
    x.stop_gradient = False
    emulate_bfloat16(layer)
    weight = layer.weight.numpy()
    y = layer(x)
    np.testing.assert_allclose(y.numpy(), bfloat16(x.numpy()) @ bfloat16(weight) + layer.bias.numpy(), atol=1e-6)
    (y**2).sum().backward()
    for gradient in (layer.weight.grad.numpy(), x.grad.numpy()):
        assert np.array_equal(gradient, bfloat16(gradient))
        assert np.ptp(gradient) > 1
    assert np.array_equal(layer.weight.numpy(), weight)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


@pytest.mark.skipif(paddle.device.is_compiled_with_cuda(), reason="here the CPU's ways are compared")
def test_every_level_learns_on_a_cpu():
    """O1 and O2 are not O0, and go the same way; what is kept is float32."""
    losses = {}
    for level in ("O0", "O1", "O2"):
        amp = settings(level, "bfloat16")
        trainer, record = make_trainer(epochs=8, amp=amp), Recorder()
        trainer.fit(make_loader(), 8, [LRSchedule(), record])
        losses[level] = np.array(record.losses)
        assert all(tensor.dtype == paddle.float32 for tensor in trainer.weights().values())
    assert (losses["O1"] == losses["O2"]).all()
    assert not (losses["O0"] == losses["O1"]).any()
    np.testing.assert_allclose(losses["O1"], losses["O0"], atol=0.02)
    assert losses["O1"][-3:].mean() < losses["O1"][:3].mean() - 0.1


@pytest.mark.skipif(paddle.device.is_compiled_with_cuda(), reason="nothing is emulated on a GPU")
def test_emulation_is_not_compiled():
    with pytest.raises(UserError, match="emulated bfloat16 cannot be compiled"):
        make_trainer(amp=settings("O1", "bfloat16"), compile=True)
