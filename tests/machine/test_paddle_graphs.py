"""A test for each private name of Paddle about graphs: that it is there, and means what it is taken for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn
from paddles import ON_PADDLE_3

from imgcls.machine import paddle_graphs as graphs
from imgcls.machine.paddle_internals import Conv2D


@pytest.mark.skipif(ON_PADDLE_3, reason="a graph of PaddlePaddle 2")
def test_a_marked_convolution_is_computed_by_onednn():
    """Its operator says so, its filter passes through another one, and its numbers are rounded otherwise."""
    paddle.seed(0)
    layer, twin = Conv2D(16, 16, 3), Conv2D(16, 16, 3)
    twin.set_state_dict(layer.state_dict())
    images = paddle.randn([2, 16, 12, 12])
    spec = [paddle.static.InputSpec([None, 16, 12, 12], "float32")]
    assert graphs.mark_for_onednn(layer, lambda one: True) == 1
    marked, plain = (paddle.jit.to_static(one, input_spec=spec, full_graph=True) for one in (layer, twin))
    found, expected = marked(images).numpy(), plain(images).numpy()
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(found, expected)
    operators = {one.type: one for one in layer.forward.concrete_program.main_program.global_block().ops}
    assert operators["conv2d"].attr("use_mkldnn")
    assert operators["conv2d"].input("Filter") == operators["scale"].output("Out")
    graphs.unmark_for_onednn(layer)
    assert layer.onednn is None


class ManyActivations(nn.Layer):
    """Of which the last leaves the graph."""

    def __init__(self, *others):
        super().__init__()
        self.first, self.second = Conv2D(3, 16, 3), Conv2D(16, 16, 3, bias_attr=False)
        self.norm, self.others = nn.BatchNorm2D(16), others

    def forward(self, images):
        maps = nn.functional.relu(self.first(images))
        for activate in self.others:
            maps = activate(maps)
        maps = nn.functional.relu6(self.norm(self.second(maps)))
        return nn.functional.relu(paddle.mean(maps, axis=[2, 3]))


@pytest.mark.skipif(ON_PADDLE_3, reason="a graph of PaddlePaddle 2")
@pytest.mark.parametrize("others", [(), (nn.functional.hardswish, nn.functional.silu, nn.functional.swish)])
def test_activations_between_convolutions_of_onednn(others):
    """Of ReLUs the bits of Paddle's own kernels; what oneDNN's find is in plain layout, what leaves is Paddle's own."""
    paddle.seed(0)
    images = paddle.randn([2, 3, 12, 12])
    spec = [paddle.static.InputSpec([None, 3, 12, 12], "float32")]
    gradients, operators = [], []
    layer = ManyActivations(*others)
    trained = [one for one in layer.parameters() if not one.stop_gradient]
    for marked in (False, True):
        graphs.mark_for_onednn(layer, lambda one: True)
        paddle.jit.to_static(layer, input_spec=spec, full_graph=True)
        with pytest.MonkeyPatch.context() as changed:
            if not marked:
                changed.setattr(graphs, "ACTIVATIONS", ())
            assert graphs.plain_between_onednn(layer, images, {}) == (2 + len(others) if marked else 0)
        found = paddle.grad((layer(images) ** 2).sum(), trained)
        found += paddle.grad((layer(images[:1]) ** 2).sum(), trained)  # another size
        gradients.append([gradient.numpy() for gradient in found])
        operators.append(layer.forward.get_concrete_program(images)[1].train_program.global_block().ops)
        vars(layer).pop("forward")
        graphs.unmark_for_onednn(layer)
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4 if others else 0, atol=1e-6 if others else 0)
    names = {*graphs.ACTIVATIONS, *(f"{name}_grad" for name in graphs.ACTIVATIONS)}
    marked = [[one.type for one in graph if one.type in names and one.attr("use_mkldnn")] for graph in operators]
    forward = ["relu", *("hard_swish", "silu", "swish")[: len(others)], "relu6"]
    assert marked == [[], [*forward, *(f"{name}_grad" for name in reversed(forward))]]
    turned = [one for one in operators[1] if one.type.startswith("conv2d")]
    slots = {"conv2d": ["Output"], "conv2d_grad": ["Input@GRAD", "Filter@GRAD"]}
    outputs = [name for one in turned for slot in slots[one.type] for name in one.output(slot)]
    outputs = [name for name in outputs if operators[1][0].block.has_var(name)]
    assert len(outputs) == 5  # of two convolutions, and the gradients of two filters and of one's input
    assert all(name.endswith(".onednn") for name in outputs)
    filters = [name for one in turned for name in one.input("Filter")]
    assert filters == [one.weight.name for one in (layer.first, layer.second, layer.second, layer.first)]
    assert "scale" not in {one.type for one in operators[1]}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted by Linux")
def test_operators_in_order_have_no_threads_of_their_own():
    """Each graph that trains brings some otherwise, beside those of the kernels."""

    def started_by_a_graph() -> int:
        layer = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        paddle.jit.to_static(layer, input_spec=[paddle.static.InputSpec([None, 4])], full_graph=True)
        before = len(list(Path("/proc/self/task").iterdir()))
        layer(paddle.ones([2, 4])).sum().backward()
        return len(list(Path("/proc/self/task").iterdir())) - before

    paddle.set_flags({"FLAGS_new_executor_serial_run": False})
    started_by_a_graph()
    freely = started_by_a_graph()
    graphs.run_operators_in_order()
    assert started_by_a_graph() < freely


NAMES = """
import sys

import paddle

from imgcls.machine.paddle_graphs import take_names_of_any_script

if sys.argv[1:]:
    take_names_of_any_script()
weight, bias = paddle.ParamAttr("卷积\\x80_权重"), paddle.ParamAttr("偏置")
layer, images = paddle.nn.Conv2D(3, 4, 3, weight_attr=weight, bias_attr=bias), paddle.randn([2, 3, 8, 8])
parameters = layer.parameters()
expected = paddle.grad((layer(images) ** 2).sum(), parameters)
paddle.jit.to_static(layer, input_spec=[paddle.static.InputSpec([None, 3, 8, 8])], full_graph=True)
found = paddle.grad((layer(images) ** 2).sum(), parameters)
print(all(paddle.allclose(*pair, rtol=1e-4).item() for pair in zip(found, expected)), [one.name for one in parameters])
"""


def test_graphs_of_parameters_with_names_beyond_ascii():
    """Have gradients; without, Paddle 2 gives up."""
    command = [sys.executable, "-c", NAMES]
    with_names = subprocess.run([*command, "with"], capture_output=True, text=True, encoding="utf-8")
    assert with_names.stdout == "True ['卷积\\x80_权重', '偏置']\n", with_names.stderr
    assert ON_PADDLE_3 or b"ascii" in subprocess.run(command, capture_output=True).stderr
