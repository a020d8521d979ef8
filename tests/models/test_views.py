"""Parts and orders of tensors against those of Paddle, and that none of them is a view on a CPU."""

from pathlib import Path

import numpy as np
import paddle
import pytest

import imgcls.models
from imgcls.machine import paddle_internals
from imgcls.machine.paddle_graphs import has_onednn_graphs
from imgcls.models.views import cropped, transpose, unbind

CASES = {
    "transpose": (lambda x: [transpose(x, [2, 0, 3, 1])], lambda x: [x.transpose([2, 0, 3, 1])]),
    "unbind": (unbind, list),
    "cropped, maps": (lambda x: [cropped(x, [2, 3], 1, 2)], lambda x: [x[:, :, 1:-2, 1:-2]]),
    "cropped, channels last": (lambda x: [cropped(x, [1, 2], 1, 0)], lambda x: [x[:, 1:, 1:]]),
}


def gradients(function, numbers: np.ndarray) -> list[np.ndarray]:
    """What it gives, and the gradient of what it was given."""
    x = paddle.to_tensor(numbers, stop_gradient=False)
    parts = function(x)
    random = np.random.default_rng(1)
    weights = [paddle.to_tensor(random.standard_normal(part.shape, np.float32)) for part in parts]
    return [*(part.numpy() for part in parts), paddle.grad(parts, [x], weights)[0].numpy()]


@pytest.mark.parametrize("case", CASES)
def test_the_same_bits(case):
    ours, paddles = CASES[case]
    numbers = np.random.default_rng(0).standard_normal((3, 5, 7, 6), np.float32)
    found, expected = gradients(ours, numbers), gradients(paddles, numbers)
    assert [one.shape for one in found] == [one.shape for one in expected]
    assert all(np.array_equal(one, two) for one, two in zip(found, expected, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_in_order(case):
    ours, _ = CASES[case]
    assert all(part.is_contiguous() for part in ours(paddle.randn([3, 5, 7, 6])))


def test_a_paddle_without_the_older_operator_gives_views(monkeypatch):
    x = paddle.randn([2, 3, 4])
    fast = transpose(x, [1, 0, 2]).numpy()
    assert paddle_internals.TRANSPOSE is not None
    monkeypatch.setattr(paddle_internals, "TRANSPOSE", None)
    assert np.array_equal(transpose(x, [1, 0, 2]).numpy(), fast)


def operators(function) -> list[str]:
    """The names of what a graph computes."""
    program = paddle.static.Program()
    paddle.enable_static()
    try:
        with paddle.static.program_guard(program):
            function(paddle.static.data("x", [3, 5, 7, 6]))
    finally:
        paddle.disable_static()
    return [str(one.type) if has_onednn_graphs() else one.name() for one in program.global_block().ops]


@pytest.mark.parametrize("case", CASES)
def test_a_graph_has_the_operators_of_paddle(case):
    """Those that engines of others and the exports' own passes know."""
    ours, paddles = (operators(function) for function in CASES[case])
    assert ours
    assert ours == paddles


def test_networks_take_no_views():
    """Of what is computed as numpy arrays (the windows' places, of Swin) a transposition is none."""
    files = sorted(Path(imgcls.models.__file__).parent.glob("*.py"))
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    found = {name: text.count(".transpose([") for name, text in texts.items()}
    assert len(found) > 30
    assert not any(found.values())
