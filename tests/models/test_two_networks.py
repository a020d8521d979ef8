"""Two networks of one family in a process, whose tensors have the same names: what works, and what does not."""

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from paddles import ON_PADDLE_3
from values_of_conf import optimizer_options

import imgcls
from imgcls.engine.optimizers import build_optimizer

CLASSES, SIZE = 5, 32


def make(seed: int):
    paddle.seed(seed)
    return imgcls.create_model("mobilenetv1_x0_25", num_classes=CLASSES)


def images(number: int):
    return paddle.to_tensor(np.random.default_rng(number).standard_normal((4, 3, SIZE, SIZE), np.float32))


def bits(network):
    return {key: tensor.numpy().copy() for key, tensor in network.state_dict().items()}


def assert_same_bits(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert np.array_equal(value, second[key]), key


def test_a_student_learns_from_a_teacher_beside_it():
    """To the same bits as from the teacher's answers on paper; the teacher stays as it was."""
    teacher = make(1)
    teacher.eval()
    with paddle.no_grad():
        on_paper = [teacher(images(step)).numpy() for step in range(3)]
    before = bits(teacher)

    students = []
    for beside in (False, True):
        student = make(2)
        assert {p.name for p in student.parameters()} == {p.name for p in teacher.parameters()}
        optimizer = build_optimizer("momentum", student, 0.1, weight_decay=1e-3, **optimizer_options("momentum"))
        for step in range(3):
            with paddle.no_grad():
                target = teacher(images(step)) if beside else paddle.to_tensor(on_paper[step])
            F.mse_loss(student(images(step)), target).backward()
            optimizer.step()
            optimizer.clear_grad()
        students.append(bits(student))
    assert_same_bits(*students)
    assert_same_bits(bits(teacher), before)


def test_two_optimizers_train_two_networks():
    alone = []
    for seed in (1, 2):
        network = make(seed)
        train([network])
        alone.append(bits(network))
    together = [make(seed) for seed in (1, 2)]
    train(together)
    for network, expected in zip(together, alone, strict=True):
        assert_same_bits(bits(network), expected)


def train(networks):
    optimizers = [build_optimizer("momentum", network, 0.1, **optimizer_options("momentum")) for network in networks]
    for step in range(3):
        for network, optimizer in zip(networks, optimizers, strict=True):
            network(images(step)).square().mean().backward()
            optimizer.step()
            optimizer.clear_grad()


def test_one_optimizer_of_both_is_refused():
    with pytest.raises(ValueError, match="share a name and would share their optimizer state"):
        build_optimizer("momentum", nn.LayerList([make(1), make(2)]), 0.1, **optimizer_options("momentum"))


class Sum(nn.Layer):
    def __init__(self, first, second):
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x):
        return self.first(x) + 2 * self.second(x)


def test_one_graph_of_both_is_not_to_be_had(tmp_path):
    """If this fails, Paddle has learnt it: take the warning out of ``name_parameters``."""
    both = Sum(make(1), make(2))
    both.eval()
    paddle.jit.save(both, str(tmp_path / "both"), input_spec=[paddle.static.InputSpec([None, 3, SIZE, SIZE])])
    x, path = images(0), str(tmp_path / "both")
    if ON_PADDLE_3:  # which sorts its parameters by name, and then by what has no order
        with pytest.raises(ValueError, match="equal"):
            paddle.jit.load(path)
    else:
        assert not np.allclose(paddle.jit.load(path)(x).numpy(), both(x).numpy(), rtol=0.1)
