"""Training and EMA checkpoints of the original, taken apart."""

import numpy as np
import pytest

from imgcls.errors import UserError
from imgcls.weights.fluid import files as fluid
from imgcls.weights.fluid.training import select_averaged, sort_training_state


def test_a_training_checkpoint(fluid_checkpoint):
    pretrained = fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_pretrained")
    state = sort_training_state(fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_train"))
    assert state.parameters.keys() == pretrained.keys()
    statistics = {name for name in pretrained if name.endswith(("_mean", "_variance"))}
    assert state.accumulators.keys() == {f"{name}_velocity_0" for name in pretrained.keys() - statistics}
    assert (state.steps, state.averages, state.ema_decay) == (2, {}, None)
    assert state.learning_rate == pytest.approx(0.001)


def test_pretrained_weights_are_parameters_only(fluid_checkpoint):
    arrays = fluid.read_directory(fluid_checkpoint / "MobileNetV1_x0_25_pretrained")
    state = sort_training_state(arrays)
    assert state.parameters.keys() == arrays.keys()
    assert (state.accumulators, state.averages, state.steps, state.learning_rate) == ({}, {}, None, None)
    with pytest.raises(UserError, match="holds no averages"):
        select_averaged(arrays)


def test_averages_win_whatever_the_order(fluid_checkpoint):
    arrays = fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_ema")
    pretrained = fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_pretrained")
    averaged = select_averaged(arrays)
    assert averaged.keys() == pretrained.keys()
    assert all(array.tobytes() == arrays[f"{name}_ema_0"].tobytes() for name, array in averaged.items())
    backwards = select_averaged(dict(reversed(arrays.items())))
    assert all(backwards[name] is averaged[name] for name in averaged)
    assert sort_training_state(arrays).ema_decay == pytest.approx(2 / 11)  # (1 + step) / (10 + step)


def test_a_parameter_without_an_average(fluid_checkpoint):
    arrays = fluid.read_directory(fluid_checkpoint / "ShuffleNetV2_x0_25_ema")
    del arrays["conv5_bn_mean_ema_0"]
    with pytest.raises(UserError, match="none of: conv5_bn_mean"):
        select_averaged(arrays)


def test_a_counter_that_is_no_number():
    with pytest.raises(UserError, match="learning_rate"):
        sort_training_state({"learning_rate": np.zeros(2, np.float32)})
