"""Each private name of Paddle is there and means what this library takes it for; all are on those two sheets."""

import ast
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import paddle
import pytest
from locations import ROOT
from paddle import nn
from paddles import ON_PADDLE_3

from imgcls.machine import paddle_internals as internals
from imgcls.run.launcher import Job, run_ranks

PAGES = [ROOT / "imgcls" / "machine" / f"{name}.py" for name in ("paddle_internals", "paddle_graphs")]
PRIVATE_MODULES = {"base", "fluid", "core"}


def is_private(name: str) -> bool:
    return name.isidentifier() and name.startswith("_") and not name.startswith("__")


def private_uses(tree: ast.AST, names: set[str]) -> list[int]:
    """Lines that import from Paddle's inside, spell a path into it, or ask any object but ``self`` for ``names``."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            paths = [f"{node.module}.{alias.name}" for alias in node.names] if not node.level else []
        elif isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            paths = [ast.unparse(node)]
            if node.attr in names and ast.unparse(node.value) != "self":
                lines.append(node.lineno)
        else:
            continue
        for path in paths:
            first, *rest = path.split(".")
            if first == "paddle" and any(part in PRIVATE_MODULES or is_private(part) for part in rest):
                lines.append(node.lineno)
    return sorted(set(lines))


def names_on_the_page() -> set[str]:
    """As attributes, and as strings for ``getattr``."""
    nodes = [node for page in PAGES for node in ast.walk(ast.parse(page.read_text()))]
    attributes = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    strings = [str(node.value) for node in nodes if isinstance(node, ast.Constant)]
    return {name for name in (*attributes, *strings) if is_private(name)}


@pytest.mark.parametrize(
    "code",
    [
        "from paddle.base import core",
        "from paddle import base",
        "import paddle.fluid.layers",
        "from paddle.io.dataloader.dataloader_iter import _DataLoaderIterMultiProcess",
        "paddle.base.core.supports_bfloat16()",
        "paddle.distributed.collective._get_default_group()",
        "trainer._optimizer",
        "self.trainer._optimizer",
        "optimizer._master_weights",
    ],
)
def test_a_private_name_is_noticed(code):
    assert private_uses(ast.parse(code), names_on_the_page()) == [1]


@pytest.mark.parametrize("code", ["from paddle.nn import Layer", "paddle.__version__", "self._mean", "hydra.core._x"])
def test_other_names_are_not(code):
    assert private_uses(ast.parse(code), names_on_the_page()) == []


def test_no_other_file_knows_one():
    names = names_on_the_page()
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "imgcls").rglob("*.py"))
        if path not in PAGES and (lines := private_uses(ast.parse(path.read_text()), names))
    }
    assert not found


@pytest.fixture
def layer():
    paddle.seed(1)
    return nn.Linear(2, 1)


def update(layer, optimizer):
    layer(paddle.ones([1, 2])).sum().backward()
    optimizer.step()
    optimizer.clear_grad()


def test_the_optimizer_of_a_model(layer):
    model = internals.OpenModel(layer)
    assert model.optimizer is None
    optimizer = paddle.optimizer.SGD(parameters=layer.parameters())
    model.prepare(optimizer)
    assert model.optimizer is optimizer
    assert model.data_parallel is None  # of several ranks: below


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_of_a_tensor_are_its_own(dtype):
    tensor = paddle.arange(6, dtype=dtype).reshape([2, 3])
    numbers = internals.numbers_of(tensor)
    assert numbers.dtype == dtype
    assert numbers.tolist() == [0, 1, 2, 3, 4, 5]
    numbers[4] = 7
    assert tensor[1, 1].item() == 7
    layer = paddle.nn.Linear(2, 3)
    layer(paddle.ones([4, 2])).sum().backward()
    np.add(internals.numbers_of(layer.weight.grad), 1, out=internals.numbers_of(layer.weight.grad))
    assert layer.weight.grad.tolist() == [[5] * 3] * 2


def test_a_view_has_no_numbers_in_order():
    weight = paddle.create_parameter([2, 3], "float32")
    paddle.matmul(paddle.ones([1, 3]), weight.t()).sum().backward()
    with pytest.raises(ValueError, match=r"\[2, 3\] by steps of \[1, 2\]"):
        internals.numbers_of(weight.grad)
    assert internals.numbers_of(weight.grad.contiguous()).tolist() == [1] * 6


def test_a_pass_over_a_loader(layer):
    """Train and evaluation go through it, batches reach the model, logs come back."""

    class Model(internals.OpenModel):
        def __init__(self, network):
            super().__init__(network)
            self.calls = []

        def run_epoch(self, loader, run, mode):
            logs = run(list(loader)[:2])
            self.calls.append((mode, logs["step"]))
            return logs

        def train_batch(self, inputs, labels=None, update=True):
            self.calls.append(("batch", float(inputs[0])))

        def eval_batch(self, inputs, labels=None):
            self.calls.append(("eval batch", float(inputs[0])))

    model = Model(layer)
    model.prepare()
    loader = paddle.io.DataLoader(list(np.arange(3, dtype=np.float32)), batch_size=1)
    model.fit(loader, epochs=1, verbose=0)
    assert model.calls == [("batch", 0.0), ("batch", 1.0), ("train", 1)]
    model.calls.clear()
    model.evaluate(loader, verbose=0)
    assert model.calls == [("eval batch", 0.0), ("eval batch", 1.0), ("eval", 1)]


def test_the_scheduler_of_an_optimizer(layer):
    scheduler = paddle.optimizer.lr.StepDecay(0.5, step_size=1)
    optimizer = paddle.optimizer.SGD(scheduler, parameters=layer.parameters())
    assert internals.lr_scheduler(optimizer) is scheduler
    scheduler.step()
    assert optimizer.get_lr() == 0.05


def test_loaded_state_waits_for_the_first_update(layer):
    optimizer = paddle.optimizer.Momentum(0.1, parameters=layer.parameters())
    update(layer, optimizer)
    state = optimizer.state_dict()
    key = f"{layer.weight.name}_velocity_0"
    resumed = paddle.optimizer.Momentum(0.1, parameters=layer.parameters())
    assert not internals.unclaimed_state(resumed)
    resumed.set_state_dict(dict(state))
    assert (key in resumed.state_dict()) is ON_PADDLE_3  # which leaves it out once there is any other
    assert np.array_equal(internals.unclaimed_state(resumed)[key].numpy(), state[key].numpy())
    with paddle.utils.unique_name.guard():
        update(layer, resumed)
    assert key not in internals.unclaimed_state(resumed)
    assert key in resumed.state_dict()


def test_masters_of_half_precision(layer):
    optimizer = paddle.optimizer.Momentum(0.1, parameters=layer.parameters(), multi_precision=True)
    assert internals.master_weights(optimizer) == internals.master_weights(None) == {}
    assert internals.master_weights(paddle.optimizer.SGD(parameters=layer.parameters())) == {}
    held = {layer.weight.name: layer.weight}
    optimizer.set_state_dict({"master_weights": held})
    assert internals.master_weights(optimizer)[layer.weight.name] is layer.weight


def test_the_state_of_a_loss_scaler(layer, scaling_here):
    scaler = paddle.amp.GradScaler(init_loss_scaling=64.0, decr_every_n_nan_or_inf=1)
    optimizer = paddle.optimizer.SGD(0.1, parameters=layer.parameters())
    for bad, scale in ((False, 64), (True, 64), (False, 32)):
        assert float(internals.loss_scale(scaler)) == scale
        scaler.scale(layer(paddle.full([1, 2], float("inf") if bad else 1.0)).sum()).backward()
        scaler.step(optimizer)
        assert internals.overflowed(scaler) is bad
        scaler.update()
        optimizer.clear_grad()
    internals.set_loss_scale(scaler, paddle.to_tensor([8.0]))
    assert float(internals.loss_scale(scaler)) == 8
    assert float(scaler.scale(paddle.to_tensor([2.0]))) == 16
    assert scaler.state_dict()["incr_count"] == 1


def test_a_numbering_of_its_own():
    first, second = internals.name_scope(), internals.name_scope()
    with first():
        assert paddle.utils.unique_name.generate("x") == "x_0"
    with second():
        assert paddle.utils.unique_name.generate("x") == "x_0"
    with first():
        assert paddle.utils.unique_name.generate("x") == "x_1"
        name = paddle.to_tensor([1.0]).name
    with first():
        assert paddle.to_tensor([1.0]).name != name


@pytest.mark.parametrize("norm_class", [nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D])
def test_the_parts_of_a_batch_norm(norm_class):
    shape = {nn.BatchNorm1D: "NC", nn.BatchNorm2D: "NHWC", nn.BatchNorm3D: "NDHWC"}[norm_class]
    norm = norm_class(3, momentum=0.75, epsilon=0.5, data_format=shape, use_global_stats=True)
    parts = internals.batch_norm_parts(norm)
    state = norm.state_dict()
    assert parts.mean is state["_mean"]
    assert parts.variance is state["_variance"]
    assert parts[2:] == (0.75, 0.5, shape, True)


def test_the_groups_of_a_convolution():
    assert internals.channel_groups(nn.Conv2D(4, 4, 1, groups=2)) == 2
    assert internals.channel_groups(nn.Conv2D(1, 4, 1)) == 1


def test_epsilon():
    assert internals.epsilon(nn.BatchNorm2D(1, epsilon=1e-3)) == 1e-3
    assert internals.epsilon(nn.BatchNorm(1, epsilon=1e-4)) == 1e-4


def test_stride():
    assert list(internals.stride(nn.Conv2D(1, 1, 3, stride=(2, 1)))) == [2, 1]


@pytest.mark.parametrize(
    "make",
    [
        lambda data_format: nn.Conv2D(4, 6, 3, data_format=data_format),
        lambda data_format: nn.Conv2D(4, 4, 3, groups=4, data_format=data_format),
        lambda data_format: nn.BatchNorm2D(4, data_format=data_format),
        lambda data_format: nn.Linear(5, 5),
    ],
)
def test_a_layer_in_another_format(make):
    """As if it had been made in it, and back."""
    changed, made = make("NCHW"), make("NHWC")
    changed.set_state_dict(made.state_dict())
    x = paddle.randn([2, 5, 5, 4 if len(made.parameters()[0].shape) != 2 else 5])
    internals.set_layer_data_format(changed, "NHWC")
    assert np.array_equal(changed(x).numpy(), made(x).numpy())
    internals.set_layer_data_format(changed, "NCHW")
    if not isinstance(made, nn.Linear):
        np.testing.assert_allclose(
            changed(x.transpose([0, 3, 1, 2])).transpose([0, 2, 3, 1]).numpy(), made(x).numpy(), rtol=1e-3, atol=1e-5
        )


class Around(nn.Layer):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def test_a_saved_layer_has_its_own_forward(tmp_path):
    """Also one that had been given another; and a layer inside can be saved by itself afterwards."""
    inner = Around(nn.ReLU())
    inner.inner.forward = given = inner.inner.forward
    outer = Around(inner)
    spec = [paddle.static.InputSpec([None, 2])]
    with internals.own_forward(outer):
        paddle.jit.save(outer, str(tmp_path / "outer"), input_spec=spec)
        assert ("forward" in vars(inner)) is not ON_PADDLE_3
    assert [vars(layer).get("forward") for layer in outer.sublayers(include_self=True)] == [None, None, given]
    with internals.own_forward(inner):
        paddle.jit.save(inner, str(tmp_path / "inner"), input_spec=spec)
    x = paddle.randn([3, 2])
    assert np.array_equal(paddle.jit.load(str(tmp_path / "inner"))(x).numpy(), outer(x).numpy())


FACTOR = 2


class Scaled(nn.Layer):
    def forward(self, x):
        return x * FACTOR if x.shape[1] > 1 else x


def test_a_method_is_translated_once(tmp_path, monkeypatch):
    """For three layers of a class; anew in the next context, for a global may have changed; to the same bytes."""
    translated = []
    translate = internals.FunctionCache._convert
    monkeypatch.setattr(
        internals.FunctionCache,
        "_convert",
        lambda self, function: translated.append(function.__qualname__) or translate(self, function),
    )
    network = nn.Sequential(Scaled(), Scaled(), Scaled())
    spec = [paddle.static.InputSpec([None, 2])]
    counts = []
    once = internals.methods_translated_once
    for name, factor, context in (("plain", 2, nullcontext), ("once", 2, once), ("changed", 3, once)):
        translated.clear()
        monkeypatch.setitem(globals(), "FACTOR", factor)
        with context(), internals.own_forward(network), paddle.utils.unique_name.guard():
            paddle.jit.save(network, str(tmp_path / name), input_spec=spec)
        counts.append(translated.count("Scaled.forward"))
    assert counts == [3, 1, 1], "a Paddle that remembers methods"
    if not ON_PADDLE_3:  # which writes names of temporary files into the graph
        assert (tmp_path / "plain.pdmodel").read_bytes() == (tmp_path / "once.pdmodel").read_bytes()
    assert paddle.jit.load(str(tmp_path / "changed"))(paddle.ones([1, 2])).tolist() == [[27.0, 27.0]]


def test_what_onednn_has_on_this_processor():
    """Some have AVX-512 without bfloat16 (Ice Lake), where Paddle goes on and fails."""
    flags = Path("/proc/cpuinfo").read_text().split()
    assert internals.supports_bfloat16() is ("avx512_bf16" in flags)
    assert internals.onednn_has_avx512() is ("avx512f" in flags)


@pytest.mark.parametrize(
    ("limit", "has_avx512", "has_bfloat16"),
    [
        ("AVX2", False, False),
        ("avx2_vnni_2", False, False),
        ("AVX", False, False),
        ("AVX512_CORE", True, False),
        ("avx512_core_vnni", True, False),
        ("AVX512_CORE_BF16", True, True),
        ("ALL", True, True),
    ],
)
def test_where_onednn_is_kept_from_instructions(monkeypatch, limit, has_avx512, has_bfloat16):
    """It raises an error then, instead of computing."""
    monkeypatch.setattr(internals.core, "supports_bfloat16", lambda: True)
    monkeypatch.setattr(internals.core, "supports_bfloat16_fast_performance", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert internals.onednn_has_avx512() is has_avx512
    assert internals.supports_bfloat16() is has_bfloat16


RANK = """
import paddle
from imgcls.engine.ranks import join
from imgcls.machine.paddle_internals import OpenModel, one_group, rendezvous_store
from imgcls.run.launcher import end_with_parent

end_with_parent()
paddle.set_device("cpu")
ranks = join()
store = rendezvous_store()
if ranks.first:
    store.set("question", "answer")
else:
    assert store.get("question") == b"answer"
every = paddle.distributed.get_group(0)
new_group = paddle.distributed.new_group
with one_group():
    assert paddle.distributed.new_group([1, 0]) is every
assert paddle.distributed.new_group is new_group
network = paddle.nn.Linear(2, 2)
assert isinstance(OpenModel(network).data_parallel, paddle.DataParallel)
assert OpenModel(network).network is network
ranks.barrier()
"""


def test_two_ranks(tmp_path, monkeypatch):
    """Their store, their group, and the network they train together."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "rank.py").write_text(RANK)
    run_ranks([sys.executable, str(tmp_path / "rank.py")], Job(processes=2), tmp_path)


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_a_bias_along_an_axis_gives_the_same_bits(data_format):
    """Values and gradients of images, weights and bias; and the fast way is the one that is taken."""
    assert internals.ADD_ALONG_AXIS is not None
    ours = internals.Conv2D(3, 8, 3, padding=1, groups=1, data_format=data_format)
    paddles = nn.Conv2D(3, 8, 3, padding=1, data_format=data_format)
    ours.bias.set_value(paddle.randn([8]))
    paddles.set_state_dict(ours.state_dict())
    images = paddle.randn([2, 3, 17, 19] if data_format == "NCHW" else [2, 17, 19, 3])
    found = []
    for layer in (ours, paddles):
        x = images.clone()
        x.stop_gradient = False
        y = layer(x)
        (y**2).sum().backward()
        found.append([y, x.grad, layer.weight.grad, layer.bias.grad])
    assert all(np.array_equal(one.numpy(), two.numpy()) for one, two in zip(*found, strict=True))
    assert ours.bias is ours.state_dict()["bias"]


def test_a_paddle_without_the_older_operator_adds_its_own_way(monkeypatch):
    layer, x = internals.Conv2D(3, 2, 1), paddle.randn([1, 3, 4, 4])
    fast = layer(x).numpy()
    monkeypatch.setattr(internals, "ADD_ALONG_AXIS", None)
    assert np.array_equal(layer(x).numpy(), fast)


def test_kernel_size():
    assert list(internals.kernel_size(nn.Conv2D(1, 1, (3, 5)))) == [3, 5]


@pytest.mark.skipif(ON_PADDLE_3, reason="PaddlePaddle 3 makes its graphs in another way, which is left as it is")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_graphs_add_a_bias_along_an_axis(data_format, tmp_path):
    """One operator instead of two, the same bits, and what optimisers take for a part of the convolution."""
    network = nn.Sequential(
        nn.Conv2D(3, 8, 3, data_format=data_format),
        nn.Conv2D(8, 8, 3, groups=8, data_format=data_format),
        nn.Conv2D(8, 4, 1, bias_attr=False, data_format=data_format),
    )
    network.eval()
    shape = [1, 3, 9, 9] if data_format == "NCHW" else [1, 9, 9, 3]
    spec = [paddle.static.InputSpec(shape, "float32")]
    x = paddle.randn(shape)
    paddle.jit.save(network, str(tmp_path / "plain"), input_spec=spec)
    with internals.own_forward(network), internals.fast_convolutions():
        eager = network(x)
        paddle.jit.save(network, str(tmp_path / "along"), input_spec=spec)
    plain, along = ((tmp_path / f"{name}.pdmodel").read_bytes() for name in ("plain", "along"))
    assert plain.count(b"reshape2") > 0
    assert along.count(b"reshape2") == 0, "a Paddle that makes its graphs in another way"
    for name in ("plain", "along"):
        assert (paddle.jit.load(str(tmp_path / name))(x) == eager).all()
    paddle.jit.save(network, str(tmp_path / "after"), input_spec=spec)
    assert (tmp_path / "after.pdmodel").read_bytes().count(b"reshape2") > 0, "only inside the context"


@pytest.mark.skipif(ON_PADDLE_3, reason="PaddlePaddle 3 makes its graphs in another way, which is left as it is")
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    ("size", "options", "apart"),
    [
        (11, {"stride": 4, "padding": 2}, True),
        ((3, 9), {"stride": (2, 1), "padding": (1, 4)}, True),
        (11, {"padding": 2}, False),
        (11, {"stride": 4}, False),
        (11, {"stride": 4, "padding": "SAME"}, False),
        (7, {"stride": 2, "padding": 3}, False),
    ],
)
def test_maps_are_padded_before_a_wide_filter(size, options, apart, data_format, tmp_path):
    """To the same bits, in exports and in graphs that train."""
    shape = [1, 3, 21, 30] if data_format == "NCHW" else [1, 21, 30, 3]
    layer, x = internals.Conv2D(3, 4, size, data_format=data_format, **options), paddle.randn(shape)
    spec = [paddle.static.InputSpec(shape, "float32")]
    expected = layer(x)
    with internals.own_forward(layer), internals.fast_convolutions():
        paddle.jit.save(layer, str(tmp_path / "graph"), input_spec=spec)
    assert (b"pad3d" in (tmp_path / "graph.pdmodel").read_bytes()) == apart
    assert (paddle.jit.load(str(tmp_path / "graph"))(x) == expected).all()
    layer.onednn = True
    paddle.jit.to_static(layer, input_spec=spec, full_graph=True)
    operators = [one.type for one in layer.forward.concrete_program.main_program.global_block().ops]
    assert operators == ["scale", *["unsqueeze2", "pad3d", "squeeze2"] * apart, "conv2d", "elementwise_add"]
