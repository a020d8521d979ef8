"""Graphs with oneDNN's convolutions: their gradients are those of the layers one by one, or they are refused."""

import gc
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from paddles import ON_PADDLE_3

import imgcls.models
from imgcls.engine import onednn
from imgcls.engine.fastest_way import GRAPHS
from imgcls.engine.onednn import above_1x1, compile_with_onednn, gradients, require_equal
from imgcls.errors import UserError
from imgcls.functional.losses import cross_entropy, with_auxiliary
from imgcls.machine import paddle_internals
from imgcls.models.registry import build_model, list_models, model_info
from imgcls.models.vit import ViT

on_2 = pytest.mark.skipif(ON_PADDLE_3, reason="graphs of PaddlePaddle 3 train without oneDNN")
EVERYWHERE = GRAPHS["onednn everywhere"]
PADDLES = ("nn.Conv2D(", "nn.MaxPool2D(", " nn.LayerNorm(")
SMALL = ("mobilenetv1_x0_25", "squeezenet1_1", "mobilenetv2_x0_25")
"""With batch norms and depthwise convolutions; biases and dropout; gradients that are nothing but rounding."""


def largest_of_each_family():
    families = {}
    for name in list_models():
        families.setdefault(model_info(name).family, []).append(name)
    return [min(names, key=lambda name: model_info(name).macs or 0) for names in families.values()]


MOST_PARAMETERS = 500e6
"""Of a network whose gradients, a handful of times, have room in 24 GB: ResNeXt101_32x48d has more."""


def published():
    infos = [model_info(name) for name in list_models()]
    return [one.name for one in infos if one.published and not one.modern and one.params < MOST_PARAMETERS]


@pytest.fixture(autouse=True)
def memory_of_networks():
    """Is given back after each test, as far as it can be: Paddle keeps what graphs have computed when they are gone."""
    yield
    paddle.base.core.clear_executor_cache()
    gc.collect()


def task(network, side, count=3):
    images = paddle.randn([count, 3, side, side])
    labels = paddle.arange(count) % 5

    def loss():
        outputs = network(images)
        several = isinstance(outputs, list | tuple)
        return (with_auxiliary if several else lambda of, logits: of(logits))(
            lambda logits: cross_entropy(logits, labels), outputs
        )

    return images, loss


@on_2
@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        *((name, above_1x1) for name in SMALL),
        (SMALL[0], EVERYWHERE),
        *(
            pytest.param(name, chosen, marks=pytest.mark.full)
            for name in largest_of_each_family()
            for chosen in (above_1x1, EVERYWHERE)
            if name not in SMALL
        ),
    ],
)
def test_a_family(name, chosen):
    """What is found equal is left as it was, and answers as before."""
    paddle.seed(1)
    network = build_model(name, num_classes=5)
    network.train()
    side = 64 if name in SMALL else model_info(name).input_size
    images, loss = task(network, side)
    state = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    network.eval()
    with paddle.no_grad():
        expected = network(images).numpy()
    network.train()
    compile_with_onednn(network, images, loss, chosen)
    assert "forward" in vars(network)
    assert all(np.array_equal(state[key], tensor.numpy()) for key, tensor in network.state_dict().items())
    network.eval()
    with paddle.no_grad():
        answers = network(images).numpy()
    assert np.abs(answers - expected).max() <= 1e-4 * np.abs(expected).max()


@on_2
@pytest.mark.full
@pytest.mark.parametrize("name", published())
def test_every_published_network(name):
    """As ``trainer.compile=onednn`` trains it, on smaller images.

    The last map of InceptionV4 is a single number at 96 pixels, and one rounding changes its gradients by all they are.
    """
    paddle.seed(1)
    network = build_model(name, num_classes=5)
    network.train()
    compile_with_onednn(network, *task(network, 96 if model_info(name).input_size < 299 else 149))
    assert "forward" in vars(network)


@on_2
@pytest.mark.parametrize("registers", [0, 1])
def test_positions_that_are_resampled(registers):
    network = ViT("tiny", image_size=32, registers=registers, place_class=not registers, num_classes=5)
    network.train()
    compile_with_onednn(network, *task(network, 48))
    assert "forward" in vars(network)


@on_2
def test_what_paddle_cannot_is_said_in_its_words(monkeypatch):
    """Without the places in the source that its message begins with."""

    def fails(*_):
        raise ValueError(
            "In transformed code:\n\n  File x, line 1\n    y = z\n\n    ValueError: (InvalidArgument) no such shape.\n"
        )

    monkeypatch.setattr(onednn, "plain_between_onednn", fails)
    network = build_model(SMALL[0], num_classes=5)
    with pytest.raises(UserError, match=r"this Paddle cannot \(ValueError: \(InvalidArgument\) no such shape\.\)"):
        compile_with_onednn(network, *task(network, 64))
    assert "forward" not in vars(network)


def test_networks_have_the_layers_that_train_fast():
    """And norms of right gradients; oneDNN cannot be given convolutions of Paddle's own class."""
    files = sorted(Path(imgcls.models.__file__).parent.glob("*.py"))
    assert len(files) > 30
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    assert not [name for name, text in texts.items() if any(layer in text for layer in PADDLES)]


class TwoConvolutions(nn.Layer):
    def __init__(self):
        super().__init__()
        self.first = paddle_internals.Conv2D(3, 16, 3)
        self.second = paddle_internals.Conv2D(16, 16, 3, bias_attr=False)
        self.head = nn.Linear(16, 5)

    def forward(self, images):
        maps = F.relu(self.second(F.relu(self.first(images))))
        return self.head(paddle.mean(maps, axis=[2, 3]))


class SideBySide(TwoConvolutions):
    """As in GoogLeNet: nothing stands between convolutions without a bias and their concatenation."""

    def __init__(self):
        super().__init__()
        self.first = paddle_internals.Conv2D(3, 16, 3, padding=1, bias_attr=False)
        self.second = paddle_internals.Conv2D(16, 8, 3, padding=1, bias_attr=False)
        self.third = paddle_internals.Conv2D(16, 8, 5, padding=2, bias_attr=False)

    def forward(self, images):
        maps = F.relu(self.first(images))
        maps = F.relu(paddle.concat([self.second(maps), self.third(maps)], axis=1))
        return self.head(paddle.mean(maps, axis=[2, 3]))


@on_2
def test_what_is_concatenated_is_in_plain_layout():
    """Otherwise the gradient of the concatenation ends the process."""
    network = SideBySide()
    compile_with_onednn(network, *task(network, 16))
    graph = network.forward.get_concrete_program(paddle.ones([3, 3, 16, 16]))[1].train_program.global_block()
    makers = {name: operator.type for operator in graph.ops for name in operator.output_arg_names}
    concat = next(operator for operator in graph.ops if operator.type == "concat")
    assert [makers[name] for name in concat.input("X")] == ["share_data", "share_data"]


@on_2
def test_images_of_another_size_have_the_gradients_of_eager_training():
    """Paddle makes another graph for them, which nobody has compared."""
    paddle.seed(0)
    network = TwoConvolutions()
    compile_with_onednn(network, *task(network, 16))
    _, loss = task(network, 24)
    found = gradients(network, loss)
    vars(network).pop("forward")
    exact = gradients(network, loss)
    assert found.keys() == exact.keys()
    for name, gradient in exact.items():
        assert np.linalg.norm(found[name] - gradient) <= 1e-4 * np.linalg.norm(gradient), name


class Shuffled(TwoConvolutions):
    """As in ShuffleNetV2; nothing is trained of the maps that are the first of a second pair."""

    def __init__(self):
        super().__init__()
        self.second = paddle_internals.Conv2D(16, 16, 3, padding=1)
        self.head = nn.Linear(64, 5)

    def forward(self, images):
        maps = self.first(images)
        pairs = paddle.stack([maps, self.second(F.relu(maps))], axis=2).flatten(1, 2)
        fixed = paddle.stack([pairs.detach(), pairs], axis=2).flatten(1, 2)
        return self.head(paddle.mean(fixed, axis=[2, 3]))


@on_2
def test_the_gradient_of_a_stack_is_taken_apart():
    network = Shuffled()
    compile_with_onednn(network, *task(network, 16))
    operators = network.forward.get_concrete_program(paddle.ones([3, 3, 16, 16]))[1].train_program.global_block().ops
    types = [operator.type for operator in operators]
    assert [types.count(name) for name in ("stack", "stack_grad", "unbind")] == [2, 1, 1]


@on_2
def test_wrong_gradients_are_refused(monkeypatch):
    network = TwoConvolutions()
    images, loss = task(network, 16)
    right = paddle_internals.Conv2D._onednn
    wrong = paddle.jit.not_to_static(lambda self, x: right(self, 1.01 * x))
    monkeypatch.setattr(paddle_internals.Conv2D, "_onednn", wrong)
    with pytest.raises(UserError, match=r"trainer.compile=onednn: the gradients of \d of 5 tensors differ"):
        compile_with_onednn(network, images, loss)
    assert "forward" not in vars(network)
    assert all(parameter.grad is None for parameter in network.parameters())


@on_2
def test_a_network_without_such_convolutions_is_refused():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    with pytest.raises(UserError, match="there is no convolution of this network that oneDNN could compute"):
        compile_with_onednn(network, *task(network, 2))


@pytest.mark.skipif(not ON_PADDLE_3, reason="those of PaddlePaddle 2 have them")
def test_graphs_without_such_kernels_are_refused():
    network = TwoConvolutions()
    with pytest.raises(UserError, match=r"PaddlePaddle 3\.\S+ have no kernels of oneDNN to train with"):
        compile_with_onednn(network, *task(network, 16))
    assert "forward" not in vars(network)


def test_what_rounding_does_is_allowed_for():
    exact = {"a": np.ones(4), "b": np.ones(4)}
    nearby = {"a": np.ones(4), "b": np.ones(4) + 1e-3}
    require_equal(exact, [exact, nearby], {"a": np.ones(4), "b": np.ones(4) + 0.05})
    with pytest.raises(UserError, match=r"the gradients of 1 of 2 tensors differ .* that of a by 0.05 of its norm"):
        require_equal(exact, [exact], {"a": np.ones(4) * 1.05, "b": np.ones(4)})
    rough = {"a": np.ones(4) * 2, "b": np.ones(4)}
    with pytest.raises(UserError, match=r"more than 1\."):  # another order of the numbers, however rough the task
        require_equal(exact, [rough], {"a": np.float64([1, -1, 1, -1]), "b": np.ones(4)})


def test_what_would_be_zero_without_rounding_may_be_another_rounding():
    """As the gradient of a batch norm's bias is where another batch norm takes it away; of a rough task nothing is."""
    exact = {"a": np.ones(4), "b": np.ones(4), "nothing": np.ones(4) * 1e-6}
    nearby = {**exact, "nothing": np.float64([1, -1, 1, -1]) * 1e-6}
    require_equal(exact, [nearby], {**exact, "nothing": np.float64([-1, -1, 1, -2]) * 1e-6})
    with pytest.raises(UserError, match="that of nothing by"):  # it has another size
        require_equal(exact, [nearby], {**exact, "nothing": np.float64([1, 1, 1, 1e3])})
    with pytest.raises(UserError, match="that of nothing by"):  # no rounding leads there
        require_equal(exact, [exact], {**exact, "nothing": np.float64([-1, 1, -1, 1]) * 1e-6})
