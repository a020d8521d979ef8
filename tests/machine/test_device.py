"""Paddle's flags for a device; a GPU is only told of, where there is none."""

import paddle
import pytest

from imgcls.errors import UserError
from imgcls.machine import device

SEARCH = "FLAGS_cudnn_exhaustive_search"


@pytest.fixture
def told(monkeypatch):
    """What Paddle is told on a machine with two GPUs."""
    flags: dict = {}
    monkeypatch.delenv(SEARCH, raising=False)
    monkeypatch.setattr(device, "gpu_count", lambda: 2)
    monkeypatch.setattr(paddle, "set_flags", flags.update)
    monkeypatch.setattr(paddle, "set_device", lambda name: name)
    return flags


def test_training_looks_for_the_fastest_algorithms(told):
    assert device.select_device(None, training=True) == "gpu"
    assert told == {SEARCH: True}


def test_not_where_bits_must_repeat(told):
    device.select_device(2, deterministic=True, training=True)
    assert SEARCH not in told
    assert told["FLAGS_cudnn_deterministic"] is True


def test_nor_for_shapes_that_change_nor_on_the_cpu(told):
    assert device.select_device(1) == "gpu"
    assert device.select_device(0, deterministic=True, training=True) == "cpu"
    assert told == {}


def test_the_environment_wins(told, monkeypatch):
    monkeypatch.setenv(SEARCH, "0")
    device.select_device(1, training=True)
    assert told == {}


def test_more_gpus_than_there_are(told):
    with pytest.raises(UserError, match=r"trainer\.gpus=3, but this machine has 2 usable GPUs"):
        device.select_device(3)
