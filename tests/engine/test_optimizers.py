"""Optimizers against the trajectories of the original, and their switches against arithmetic by hand."""

import json

import numpy as np
import paddle
import pytest
from locations import REFERENCE
from paddle import nn
from paddle.regularizer import L2Decay
from values_of_conf import optimizer_options

import imgcls
from imgcls.engine.optimizers import OPTIMIZERS, OptimizerLR, build_optimizer
from imgcls.errors import UserError
from imgcls.functional.schedules import build_schedule

EXPECTED = json.loads((REFERENCE / "schedules.json").read_text())
PROBLEM = EXPECTED["trajectory_problem"]
RUN = {"base_lr": 0.1, "steps_per_epoch": 10, "epochs": 8}


def optimizer_of(name: str, network: nn.Layer, lr, **options):
    """With the options that conf/ gives it, but for those named here."""
    return build_optimizer(name, network, lr, **{**optimizer_options(name), **options})


# strategy of the original -> schedule, its options, optimizer, its options
STRATEGIES = {
    "piecewise_decay": ("piecewise", {"boundaries": (2, 4, 6), "decay_rate": 0.1}, "momentum", {}),
    "cosine_decay": ("cosine", {}, "momentum", {}),
    "cosine_decay_warmup": ("cosine_step", {"warmup_epochs": 2}, "momentum", {}),
    "linear_decay": ("linear", {"decay_epochs": 1}, "momentum", {}),
    "default_decay": ("constant", {}, "momentum", {}),
    "adam_decay": ("constant", {}, "adam", {"weight_decay": 0.0}),
    "exponential_decay_warmup": (
        "exponential",
        {"decay_epochs": 2.4, "decay_rate": 0.97, "warmup_epochs": 2},
        "rmsprop",
        {},
    ),
    "cosine_decay_RMSProp": ("cosine", {}, "rmsprop", {"rho": 0.95, "epsilon": 1.0}),
}


class Linear(nn.Layer):
    """The problem of the reference: ``x @ w + b``, with the layer as its head."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 1)
        self.head.weight.set_value(np.array(PROBLEM["w0"], "float32").reshape(3, 1))
        self.head.bias.set_value(np.array(PROBLEM["b0"], "float32"))

    def forward(self, x):
        return self.head(x)


def loss_of(network):
    x, t = paddle.to_tensor(PROBLEM["x"]), paddle.to_tensor(PROBLEM["t"])
    return (network(x) - t).square().mean()


def train_step(network, optimizer) -> float:
    loss = loss_of(network)
    loss.backward()
    optimizer.step()
    optimizer.clear_grad()
    return float(loss)


@pytest.mark.parametrize("strategy", EXPECTED["strategies"])
def test_twelve_steps_equal_the_original(strategy):
    schedule, schedule_options, name, options = STRATEGIES[strategy]
    network = Linear()
    scheduler = OptimizerLR(build_schedule(schedule, **RUN, **schedule_options))
    optimizer = optimizer_of(name, network, scheduler, **{"weight_decay": 0.01, **options})
    for expected in EXPECTED["strategies"][strategy]["trajectory"]:
        loss = train_step(network, optimizer)
        scheduler.step()
        for actual, key in ((loss, "loss"), (network.head.weight, "w"), (network.head.bias, "b")):
            # 1e-6 and 1e-7 hold for one step; over twelve the rounding of MKL's code path adds up
            np.testing.assert_allclose(np.ravel(actual), np.ravel(expected[key]), rtol=5e-6, atol=5e-7)


def test_the_scheduler_continues_where_it_was_saved():
    schedule = build_schedule("cosine_step", **RUN)
    scheduler = OptimizerLR(schedule)
    for _ in range(33):
        scheduler.step()
    resumed = OptimizerLR(schedule)
    resumed.set_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert (resumed.last_epoch, resumed()) == (33, schedule(33))
    resumed.step()
    assert resumed() == schedule(34)


def test_a_changed_schedule_counts_from_the_resume_on():
    saved = OptimizerLR(build_schedule("constant", **RUN)).state_dict()
    resumed = OptimizerLR(build_schedule("constant", **{**RUN, "base_lr": 0.5}))
    resumed.set_state_dict(saved)
    assert resumed() == 0.5


def gradients_of_one(network, optimizer) -> None:
    """One update of a loss whose gradient is 1 for every element of every parameter."""
    sum(parameter.sum() for parameter in network.parameters() if not parameter.stop_gradient).backward()
    optimizer.step()
    optimizer.clear_grad()


def small_network() -> nn.Layer:
    """All weights 2; a convolution, a batch norm and a head."""
    network = nn.Layer()
    network.conv, network.norm, network.head = nn.Conv2D(1, 2, 1), nn.BatchNorm2D(2), nn.Linear(2, 3)
    for parameter in network.parameters():
        parameter.set_value(paddle.full_like(parameter, 2.0))
    return network


def values(network) -> dict[str, float]:
    """The common value of each trainable parameter; fails unless all elements are alike."""
    arrays = {key: value.numpy() for key, value in network.named_parameters() if not value.stop_gradient}
    assert all(np.ptp(array) == 0 for array in arrays.values())
    return {key: float(array.flat[0]) for key, array in arrays.items()}


WEIGHTS = {"conv.weight", "head.weight"}


@pytest.mark.parametrize("name", ["momentum", "rmsprop", "adam", "adamw", "lamb"])
@pytest.mark.parametrize("exempt", [False, True])
def test_weight_decay_reaches_what_it_should(name, exempt):
    plain, decayed = small_network(), small_network()
    # Adam and RMSProp normalise a first gradient, and what decay adds to it, away unless epsilon is large.
    options = {} if name == "momentum" else {"epsilon": 1.0}
    gradients_of_one(plain, optimizer_of(name, plain, 0.1, **options))
    options |= {"weight_decay": 0.5, "no_decay_on_norm_and_bias": exempt}
    gradients_of_one(decayed, optimizer_of(name, decayed, 0.1, **options))
    moved = {key for key in values(plain) if values(plain)[key] != values(decayed)[key]}
    assert moved == (WEIGHTS if exempt else set(values(plain)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("momentum", 2 - 0.1 * (1 + 0.5 * 2)),
        ("rmsprop", 2 - 0.1 * 2 / np.sqrt(0.1 * 2**2 + 1e-3)),
        ("adamw", 2 * (1 - 0.1 * 0.5) - 0.1),
        ("adam", 2 - 0.1),
        # the update 1 + 0.5 * 2 has the length of the parameter: trust of 1
        ("lamb", 2 - 0.1 * 2),
    ],
)
def test_one_decayed_update_by_hand(name, expected):
    network = small_network()
    gradients_of_one(network, optimizer_of(name, network, 0.1, weight_decay=0.5))
    assert values(network) == pytest.approx(dict.fromkeys(values(network), expected), rel=1e-5)


@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_a_declared_regularizer_wins(name):
    network = small_network()
    network.norm.weight.regularizer = L2Decay(0.0)
    network.conv.weight.regularizer = L2Decay(3.0)
    for weight_decay in (0.7, 0.5):
        optimizer = optimizer_of(name, network, 0.1, weight_decay=weight_decay)
    gradients_of_one(network, optimizer)
    after = values(network)
    if name == "momentum":
        assert after["conv.weight"] == pytest.approx(2 - 0.1 * (1 + 3 * 2))
    assert after["norm.weight"] == pytest.approx(2 - 0.1)
    assert after["norm.bias"] == pytest.approx(2 - 0.1 * 2 if name == "momentum" else 2 * 0.95 - 0.1)


@pytest.mark.parametrize("first", ["momentum", "adamw"])
def test_a_second_optimizer_of_a_network_forgets_the_first(first):
    network = small_network()
    optimizer_of(first, network, 0.1, weight_decay=9.0, no_decay_on_norm_and_bias=True, head_lr_multiplier=7.0)
    gradients_of_one(network, optimizer_of("adamw", network, 0.1, weight_decay=0.5))
    assert values(network) == pytest.approx(dict.fromkeys(values(network), 2 * 0.95 - 0.1), rel=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_head_learns_faster_under_a_schedule(name):
    plain, faster = small_network(), small_network()
    for network, multiplier in ((plain, 1.0), (faster, 10.0)):
        scheduler = OptimizerLR(build_schedule("linear", base_lr=0.01, steps_per_epoch=10, epochs=1))
        optimizer = optimizer_of(name, network, scheduler, head_lr_multiplier=multiplier)
        for _ in range(3):
            gradients_of_one(network, optimizer)
            scheduler.step()
    for key, value in values(faster).items():
        factor = 10 if key.startswith("head.") else 1
        assert 2 - value == pytest.approx(factor * (2 - values(plain)[key]), rel=1e-4)


def test_the_norm_of_all_gradients_together_is_clipped_before_decay():
    network = small_network()
    count = sum(parameter.size for parameter in network.parameters() if not parameter.stop_gradient)
    optimizer = optimizer_of("momentum", network, 0.1, weight_decay=0.5, grad_clip_norm=1.5, head_lr_multiplier=2.0)
    gradients_of_one(network, optimizer)
    update = 0.1 * (1.5 / np.sqrt(count) + 0.5 * 2)
    expected = {key: 2 - update * (2 if key.startswith("head.") else 1) for key in values(network)}
    assert values(network) == pytest.approx(expected, rel=1e-6)


def test_gradients_within_the_norm_are_left_alone():
    clipped, plain = small_network(), small_network()
    gradients_of_one(clipped, optimizer_of("momentum", clipped, 0.1, grad_clip_norm=100.0))
    gradients_of_one(plain, optimizer_of("momentum", plain, 0.1))
    assert values(clipped) == values(plain)


def test_frozen_parameters_are_left_out_even_of_the_norm():
    network = small_network()
    for parameter in network.conv.parameters():
        parameter.stop_gradient = True
    optimizer = optimizer_of("momentum", network, 0.1, grad_clip_norm=1.0, weight_decay=0.5)
    assert len(optimizer._parameter_list) == 4
    gradients_of_one(network, optimizer)
    assert float(network.conv.weight[0, 0, 0, 0]) == 2
    assert values(network)["norm.weight"] == pytest.approx(2 - 0.1 * (1 / np.sqrt(2 + 2 + 6 + 3) + 1))


def test_every_trainable_parameter_of_a_real_network_moves():
    paddle.seed(0)
    network = imgcls.create_model("resnet18", num_classes=3)
    before = {key: value.numpy() for key, value in network.named_parameters()}
    optimizer = optimizer_of("momentum", network, 0.1, weight_decay=1e-4, no_decay_on_norm_and_bias=True)
    network(paddle.randn([4, 3, 64, 64])).square().mean().backward()
    optimizer.step()
    still = [key for key, value in network.named_parameters() if (value.numpy() == before[key]).all()]
    assert still == []
    decayed = {value.ndim for value in network.parameters() if value.regularizer is not None}
    assert decayed == {2, 4}


def test_mistakes_are_named():
    network = small_network()
    with pytest.raises(UserError, match=r"no optimizer 'momentun'.*Did you mean 'momentum'"):
        build_optimizer("momentun", network, 0.1)
    with pytest.raises(UserError, match="'rmsprop' needs a value for rho, epsilon"):
        build_optimizer("rmsprop", network, 0.1, momentum=0.9)
    with pytest.raises(UserError, match=r"'rmsprop' has no option 'beta1'.*It has: rho, momentum, epsilon"):
        optimizer_of("rmsprop", network, 0.1, beta1=0.9)
    with pytest.raises(UserError, match="clipped to 0"):
        optimizer_of("momentum", network, 0.1, grad_clip_norm=0)
    with pytest.raises(UserError, match="Conv2D has no 'head'"):
        optimizer_of("momentum", network.conv, 0.1, head_lr_multiplier=10)
    for parameter in network.parameters():
        parameter.stop_gradient = True
    with pytest.raises(UserError, match="nothing to train"):
        optimizer_of("momentum", network, 0.1)


def test_parameters_of_one_name_are_refused():
    network = small_network()
    network.conv.weight.name = network.head.weight.name
    with pytest.raises(ValueError, match="share a name"):
        optimizer_of("momentum", network, 0.1)


def test_blocks_learn_the_slower_the_nearer_they_are_to_the_images():
    """Of a ViT: the embedding, each block and the head; another call forgets the factors, and so does none."""
    network = imgcls.create_model("vit_tiny_patch16_224", num_classes=3, image_size=32)
    for _ in range(2):
        optimizer_of("adamw", network, 0.1, layer_decay=0.5, head_lr_multiplier=3.0)
    rates = {key: tensor.optimize_attr["learning_rate"] for key, tensor in network.named_parameters()}
    assert rates["head.weight"] == 3
    assert rates["norm.weight"] == 1
    assert rates["blocks.11.mlp.fc1.weight"] == 0.5
    assert rates["blocks.0.attn.qkv.bias"] == 0.5**12
    assert {rates[key] for key in ("pos_embed", "cls_token", "patch_embed.proj.weight")} == {0.5**13}
    optimizer_of("adamw", network, 0.1)
    assert {tensor.optimize_attr["learning_rate"] for tensor in network.parameters()} == {1}


@pytest.mark.parametrize(
    ("name", "blocks"), [("convnext_atto", 1 + 12), ("regnetx_002", 1 + 13), ("mobilenetv4_conv_small_050", 18)]
)
def test_every_parameter_but_the_head_s_is_in_one_block(name, blocks):
    network = imgcls.create_model(name, num_classes=3)
    found = network.blocks_in_order()
    assert len(found) == blocks
    names = [tensor.name for block in found for tensor in block]
    assert len(set(names)) == len(names)
    rest = {key.split(".")[0] for key, tensor in network.named_parameters() if tensor.name not in names}
    assert rest <= {"head", "norm", "neck"}


def test_decay_needs_blocks():
    with pytest.raises(UserError, match=r"Sequential has no blocks_in_order, which optimizer.layer_decay needs"):
        optimizer_of("adamw", nn.Sequential(nn.Linear(2, 3)), 0.1, layer_decay=0.5)
