"""Gradients in graphs by other operators: against those of eager mode, and that these are the ones which are used."""

from collections import Counter

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from paddles import ON_PADDLE_3

from imgcls.engine import graph_gradients
from imgcls.engine.graph_gradients import REWRITTEN
from imgcls.machine import paddle_graphs
from imgcls.machine.paddle_graphs import mark_for_onednn, plain_between_onednn, unmark_for_onednn
from imgcls.machine.paddle_internals import Conv2D, onednn_has_avx512
from imgcls.models.layer_norm import LayerNorm
from imgcls.models.pooling import MaxPool2D
from imgcls.models.views import transpose, unbind

pytestmark = pytest.mark.skipif(ON_PADDLE_3, reason="graphs of PaddlePaddle 2")
PLACES, WIDTH = 9, 8


class Tokens(nn.Layer):
    """Patches of an image as tokens ``[N, 9, 8]``, what ``body`` makes of them, and a head."""

    def __init__(self, body: nn.Layer):
        super().__init__()
        self.patches, self.body, self.head = Conv2D(3, WIDTH, 4, stride=4), body, nn.Linear(WIDTH, 3)

    def forward(self, images):
        tokens = transpose(self.patches(images).flatten(2), [0, 2, 1])
        return self.head(self.body(tokens).mean(1))


class Of(nn.Layer):
    """``function`` of tokens, and of a parameter of that shape."""

    def __init__(self, function, *shape):
        super().__init__()
        self.function, normal = function, nn.initializer.Normal()
        self.value = self.create_parameter(list(shape), default_initializer=normal) if shape else None

    def forward(self, tokens):
        return self.function(tokens) if self.value is None else self.function(tokens, self.value)


def frozen(layer, *numbers):
    for number in numbers:
        layer.parameters()[number].stop_gradient = True
    return layer


def of_random(layer):
    for tensor in layer.parameters():
        tensor.set_value(paddle.randn(tensor.shape))
    return layer


def halves(tokens, matrix):
    both = paddle.matmul(tokens, matrix).reshape([-1, PLACES, 2, WIDTH])
    return unbind(transpose(both, [2, 0, 1, 3]))


def product_twice(tokens, matrix):
    product = paddle.matmul(tokens, matrix)
    return (product + matrix[0]) * product


def turned_product(tokens, matrix):
    return paddle.matmul(tokens, matrix, transpose_y=True) + matrix[0]


def channels_first(tokens):
    maps = transpose(tokens.reshape([0, 3, 3, WIDTH]), [0, 3, 1, 2])
    return transpose(F.silu(maps), [0, 2, 3, 1]).reshape([0, PLACES, WIDTH])


def stretched(tokens):
    maps = transpose(tokens.reshape([0, 3, 3, WIDTH]), [0, 3, 1, 2])
    maps = paddle.index_select(F.silu(maps), paddle.arange(7) * 3 // 7, 2)
    maps = paddle.index_select(maps, paddle.floor(paddle.linspace(0, 2, 5) + 0.5).astype("int32"), 3)
    return transpose(maps * maps, [0, 2, 3, 1]).flatten(1, 2)


def of_another_shape(tokens):
    """Whose gradient, that of a norm, needs to know the shape."""
    return F.layer_norm(F.silu(tokens).reshape([0, PLACES, 2, WIDTH // 2]).reshape([0, PLACES, WIDTH]), [WIDTH])


SUM, PRODUCT, NORM = "elementwise_add_grad", "elementwise_mul_grad", "layer_norm_grad"
LINEAR, RESHAPED, MOVED = "fc", "reshape2_grad", "transpose2 of oneDNN"
CASES = {  # what the tokens go through; operators in its graph and how many, beside those of the patches and the head
    "residual": (lambda: Of(lambda x: F.silu(x) + x), {SUM: 0}),
    "bias": (lambda: nn.Linear(WIDTH, WIDTH), {SUM: 0, "reduce_sum": 1, LINEAR: 1}),
    "frozen bias": (lambda: frozen(nn.Linear(WIDTH, WIDTH), 1), {SUM: 0, "reduce_sum": 0, LINEAR: 1}),
    "frozen matrix": (lambda: frozen(nn.Linear(WIDTH, WIDTH), 0), {SUM: 0, "reduce_sum": 1, LINEAR: 1}),
    "another bias": (lambda: Of(lambda x, m: paddle.matmul(x, m) + m[0], WIDTH, WIDTH), {LINEAR: 1}),
    "no bias": (lambda: nn.Linear(WIDTH, WIDTH, bias_attr=False), {LINEAR: 0}),
    "a turned matrix": (
        lambda: Of(lambda x, m: paddle.matmul(x, m, transpose_y=True) + m[0], WIDTH, WIDTH),
        {LINEAR: 0},
    ),
    "a product that is read twice": (lambda: Of(product_twice, WIDTH, WIDTH), {LINEAR: 0}),
    "a bias of what is no product": (lambda: Of(lambda x, p: F.silu(x) + p, WIDTH), {LINEAR: 0, SUM: 0}),
    "channels first": (lambda: Of(channels_first), {MOVED: 4, RESHAPED: 0, "transpose2_grad": 0}),
    "another shape": (lambda: Of(of_another_shape), {NORM: 0, RESHAPED: 0}),
    "stretched maps": (lambda: Of(stretched), {"index_select": 0, "index_select_grad": 0, "one_hot_v2": 4}),
    "some tokens": (lambda: Of(lambda x: paddle.index_select(x, paddle.arange(4), 1)), {"index_select_grad": 1}),
    "positions": (lambda: Of(lambda x, p: x + p, 1, PLACES, WIDTH), {SUM: 1}),
    "a parameter of the tokens' shape": (lambda: Of(lambda x, p: (x[0] + p).unsqueeze(0), PLACES, WIDTH), {SUM: 1}),
    "factors": (lambda: Of(lambda x, p: x * p, WIDTH), {PRODUCT: 0, "reduce_sum": 1}),
    "frozen factors": (lambda: frozen(Of(lambda x, p: x * p, WIDTH), 0), {PRODUCT: 0, "reduce_sum": 0}),
    "factors of places": (lambda: Of(lambda x, p: x * p, PLACES, 1), {PRODUCT: 1}),
    "tokens times tokens": (lambda: Of(lambda x: x * F.silu(x)), {PRODUCT: 1}),
    "layer norm": (lambda: of_random(LayerNorm(WIDTH)), {NORM: 0, "batch_norm_grad": 1, "reduce_sum": 3}),
    "frozen weight": (lambda: frozen(of_random(LayerNorm(WIDTH)), 0), {NORM: 0, "batch_norm_grad": 1}),
    "frozen shift": (lambda: frozen(of_random(LayerNorm(WIDTH)), 1), {NORM: 0, "batch_norm_grad": 1, "reduce_sum": 2}),
    "no shift": (lambda: of_random(LayerNorm(WIDTH, bias_attr=False)), {NORM: 0, "batch_norm_grad": 1}),
    "norm of two axes": (lambda: of_random(nn.LayerNorm([PLACES, WIDTH])), {NORM: 1}),
    "both entries": (
        lambda: Of(lambda x, m: paddle.multiply(*halves(x, m)), WIDTH, 2 * WIDTH),
        {"slice_grad": 0, "stack": 1},
    ),
    "one entry": (lambda: Of(lambda x, m: halves(x, m)[1], WIDTH, 2 * WIDTH), {"slice_grad": 1, "stack": 0}),
    "stacked": (lambda: Of(lambda x: paddle.stack([x, F.silu(x)], 3)[..., 1]), {"stack_grad": 0, "unbind": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_gradients_of_eager_mode(case):
    make, expected_operators = CASES[case]
    paddle.seed(0)
    network, images = Tokens(make()), paddle.randn([2, 3, 12, 12])
    graph = assert_gradients_of_eager_mode(network, images)
    of_onednn = (f"{one.type} of oneDNN" for one in graph.ops if one.type == "transpose2" and one.attr("use_mkldnn"))
    operators = [*(one.type for one in graph.ops), *of_onednn]
    # the head's bias, of ``[N, C]``, is Paddle's own; that of the patches is not
    outside = {SUM: 1, "reduce_sum": 1, "transpose2_grad": 1}
    counts = {name: operators.count(name) - outside.get(name, 0) for name in expected_operators}
    assert counts == expected_operators


class Maps(nn.Layer):
    """What ``function`` makes of maps ``[N, 8, 6, 6]`` and two trained numbers, and a head."""

    def __init__(self, function, frozen_numbers):
        super().__init__()
        self.first, self.function, self.head = Conv2D(3, WIDTH, 4, stride=2), function, nn.Linear(WIDTH, 3)
        normal = nn.initializer.Normal()
        self.factor, self.summand = (self.create_parameter([1], default_initializer=normal) for _ in range(2))
        for number in frozen_numbers:
            getattr(self, number).stop_gradient = True

    def forward(self, images):
        maps = self.function(F.relu(self.first(images)), self.factor, self.summand)
        return self.head((maps * maps).mean([2, 3]))


def product_twice_of_maps(maps, factor, summand):
    product = maps * factor
    return (product + summand) * product


AFFINE = {"affine_channel": 1, "affine_channel_grad": 1, SUM: 0, "elementwise_add": 0}
ON_MAPS = {  # as above; the square of the maps is a product of Paddle's own; numbers that are frozen
    "factor and summand": (lambda x, a, b: x * a + b, AFFINE, []),
    "the numbers first": (lambda x, a, b: b + a * x, AFFINE, []),
    "frozen factor": (lambda x, a, b: x * a + b, AFFINE | {"affine_channel_grad": 0, "scale": 1}, ["factor"]),
    "frozen summand": (lambda x, a, b: x * a + b, AFFINE, ["summand"]),
    "both frozen": (lambda x, a, b: x * a + b, AFFINE | {"affine_channel_grad": 0, "scale": 1}, ["factor", "summand"]),
    "a factor": (lambda x, a, b: x * a, AFFINE | {"affine_channel": 0}, []),
    "a summand": (lambda x, a, b: x + b, {"affine_channel_grad": 0, "affine_channel": 0, SUM: 0}, []),
    "twice": (lambda x, a, b: (x * a + b) * a + b, {"affine_channel": 2, "affine_channel_grad": 2, SUM: 0}, []),
    "a product that is read twice": (product_twice_of_maps, {"affine_channel": 0, "affine_channel_grad": 1}, []),
    "a sum of one": (lambda x, a, b: x * (a + b), {"affine_channel": 0, "affine_channel_grad": 1}, []),
    "tokens": (lambda x, a, b: (x.flatten(2) * a + b).unsqueeze(3), {"affine_channel": 0, SUM: 1}, []),
}


@pytest.mark.parametrize("case", ON_MAPS)
def test_single_numbers(case):
    function, expected_operators, frozen_numbers = ON_MAPS[case]
    paddle.seed(0)
    network, images = Maps(function, frozen_numbers), paddle.randn([2, 3, 14, 14])
    graph = assert_gradients_of_eager_mode(network, images)
    operators = [one.type for one in graph.ops]
    outside = {SUM: 1, "elementwise_add": 2}  # biases of the head, and of the convolution
    assert {name: operators.count(name) - outside.get(name, 0) for name in expected_operators} == expected_operators


def assert_gradients_of_eager_mode(network, images):
    """Returns the block of its graph."""
    trained = [one for one in network.parameters() if not one.stop_gradient]

    def numbers():
        answer = network(images)
        asked = paddle.grad((answer**2).sum(), trained, allow_unused=True)
        return [answer.numpy(), *(one.numpy() for one in asked if one is not None)]

    expected = numbers()
    assert mark_for_onednn(network, lambda one: True) == 1
    spec = paddle.static.InputSpec([None, *images.shape[1:]])
    paddle.jit.to_static(network, input_spec=[spec], full_graph=True)
    plain_between_onednn(network, images, REWRITTEN)
    found = numbers()
    graph = network.forward.get_concrete_program(images)[1].train_program.global_block()
    unmark_for_onednn(network)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())
    return graph


class Answers(Tokens):
    """What the network answers is what other operators go on from."""

    def forward(self, images):
        product = paddle.matmul(transpose(self.patches(images).flatten(2), [0, 2, 1]), self.body.weight)
        maps = product.reshape([0, 3, 3, WIDTH])
        # not what one operator alone goes on from: of that Paddle 2.6.2 forgets the gradient that it is given
        return product + self.body.bias, product, F.silu(maps), maps, F.silu(transpose(maps, [0, 3, 1, 2]))


def test_what_the_network_answers():
    """Is what it was."""
    paddle.seed(0)
    network, images = Answers(of_random(nn.Linear(WIDTH, WIDTH))), paddle.randn([2, 3, 12, 12])
    trained = [*network.patches.parameters(), *network.body.parameters()]

    def numbers():
        answers = network(images)
        return [one.numpy() for one in (*answers, *paddle.grad(sum((one**2).sum() for one in answers), trained))]

    expected = numbers()
    mark_for_onednn(network, lambda one: True)
    paddle.jit.to_static(network, input_spec=[paddle.static.InputSpec([None, 3, 12, 12])], full_graph=True)
    plain_between_onednn(network, images, REWRITTEN)
    found = numbers()
    unmark_for_onednn(network)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


class Depthwise(nn.Layer):
    """A depthwise convolution between two others."""

    def __init__(self, size, channels=8, **options):
        super().__init__()
        multiplier = options.pop("multiplier", 1)
        self.first = Conv2D(3, channels, 3, padding=1)
        self.depthwise = Conv2D(channels, channels * multiplier, size, groups=channels, **options)
        self.last, self.head = Conv2D(channels * multiplier, 8, 1), nn.Linear(8, 3)

    def forward(self, images):
        maps = F.relu(self.depthwise(F.relu(self.first(images))))
        return self.head(F.relu(self.last(maps)).mean([2, 3]))


FILTERS = {  # of depthwise convolutions: whether gradients of filters are a convolution, or going forward is a gradient
    "5 x 5": (5, {"padding": 2}, "filter"),
    "7 x 7, channels of no block": (7, {"padding": 3, "channels": 12}, "filter"),
    "no bias": (5, {"padding": 2, "bias_attr": False}, "filter"),
    "strides": (5, {"padding": 2, "stride": 2}, "filter"),
    "other strides": (5, {"padding": 2, "stride": (1, 2)}, "filter"),
    "as the original's": (5, {"padding": "SAME", "stride": 2}, "filter"),
    "all inside": (5, {"padding": "VALID"}, "filter"),
    "little around": (5, {"padding": 1}, "filter"),
    "more on one side": (5, {"padding": [1, 3, 2, 0]}, "filter"),
    "high": ((7, 5), {"padding": (3, 2)}, "filter"),
    "long": ((1, 5), {"padding": (0, 2)}, "filter"),
    "narrow": (3, {"padding": 1}, "forward"),
    "narrow, channels of no block": (3, {"padding": 1, "channels": 12}, "forward"),
    "narrow, as the original's, no bias": (3, {"padding": "SAME", "bias_attr": False}, "forward"),
    "narrow, of four sides": (3, {"padding": [1, 1, 1, 1]}, "forward"),
    "narrow, more on one side": (3, {"padding": [0, 2, 2, 0]}, ""),
    "narrow, all inside": (3, {}, ""),
    "narrow, strides": (3, {"padding": 1, "stride": 2}, ""),
    "narrow, far apart": (3, {"padding": 2, "dilation": 2}, ""),
    "narrow, two of each": (3, {"padding": 1, "multiplier": 2}, ""),
    "low": ((1, 3), {"padding": (0, 1)}, ""),
    "far apart": (5, {"padding": 4, "dilation": 2}, ""),
    "two of each": (5, {"padding": 2, "multiplier": 2}, ""),
    "columns left over": (5, {"stride": 3}, ""),
    "zeros alone": (5, {"padding": 5}, ""),
}


@pytest.mark.parametrize("case", FILTERS)
def test_depthwise_filters(case):
    """Numbers and gradients of eager mode, for any number of images; what is not rewritten stays Paddle's."""
    size, options, rewritten = FILTERS[case]
    paddle.seed(0)
    network = Depthwise(size, **options)
    batches = [paddle.randn([count, 3, 13, 18]) for count in (3, 1, 4)]

    def numbers():
        found = [network(images) for images in batches]
        gradients = [paddle.grad((one**2).sum(), network.parameters()) for one in found]
        return [one.numpy() for one in (*found, *(each for all_of in gradients for each in all_of))]

    expected = numbers()
    mark_for_onednn(network, lambda one: one is network.depthwise)
    paddle.jit.to_static(network, input_spec=[paddle.static.InputSpec([None, 3, 13, 18])], full_graph=True)
    plain_between_onednn(network, batches[0], REWRITTEN)
    found = numbers()
    graph = network.forward.get_concrete_program(batches[0])[1].train_program.global_block()
    unmark_for_onednn(network)
    assert [one.type for one in graph.ops].count("depthwise_conv2d") == {"": 1, "filter": 2, "forward": 0}[rewritten]
    *forward, gradient = (one for one in graph.ops if one.type == "depthwise_conv2d_grad")
    assert len(forward) == (rewritten == "forward")
    assert bool(gradient.output("Filter@GRAD")) == (rewritten != "filter")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


def test_frozen_filters_have_no_gradients():
    """And nothing is computed for them."""
    network, images = Depthwise(5, padding=2), paddle.randn([2, 3, 12, 12])
    network.depthwise.weight.stop_gradient = True
    trained = [one for one in network.parameters() if not one.stop_gradient]
    expected = paddle.grad((network(images) ** 2).sum(), trained)
    mark_for_onednn(network, lambda one: one is network.depthwise)
    paddle.jit.to_static(network, input_spec=[paddle.static.InputSpec([None, 3, 12, 12])], full_graph=True)
    plain_between_onednn(network, images, REWRITTEN)
    found = paddle.grad((network(images) ** 2).sum(), trained)
    graph = network.forward.get_concrete_program(images)[1].train_program.global_block()
    unmark_for_onednn(network)
    assert [one.type for one in graph.ops].count("depthwise_conv2d") == 1
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5 * float(other.abs().max()))


class Pools(nn.Layer):
    """Max pooling between convolutions, of ReLUs with many zeros."""

    def __init__(self, *pools):
        super().__init__()
        self.first, self.pools, self.last = Conv2D(3, 24, 3, padding=1), nn.Sequential(*pools), Conv2D(24, 5, 1)

    def forward(self, images):
        return self.last(self.pools(F.relu(self.first(images) - 0.5))).mean([2, 3])


class LastPool(Pools):
    """One that leaves the graph."""

    def forward(self, images):
        return self.pools(self.last(F.relu(self.first(images))))


class BetweenConcatenations(Pools):
    """The gradient of one takes over the layout of what it was given, and ends the process if that is not plain."""

    def forward(self, images):
        maps = F.relu(self.first(images))
        maps = paddle.concat([self.pools(paddle.concat([maps, maps * 2], 1))], 1)
        return (self.last(F.relu(maps[:, :24])) + self.last(maps[:, 24:])).mean([2, 3])


POOLS = {  # pools, and how many of them oneDNN computes where it has AVX-512
    "by places": (Pools, lambda: [MaxPool2D(3, 2, padding=1)], 1),
    "as Paddle's": (Pools, lambda: [nn.MaxPool2D(2, 2)], 1),
    "partly outside": (Pools, lambda: [MaxPool2D(3, 2, ceil_mode=True)], 1),
    "not square": (Pools, lambda: [nn.MaxPool2D((2, 3), (1, 2), padding=(1, 0))], 1),
    "as the original's": (Pools, lambda: [MaxPool2D(2, stride=1, padding="SAME")], 1),
    "several of one shape": (Pools, lambda: [MaxPool2D(3, 1, padding=1), nn.MaxPool2D(3, 1, 1), MaxPool2D(5, 1, 2)], 3),
    "of several shapes": (Pools, lambda: [MaxPool2D(3, 1, padding=1), nn.MaxPool2D(2), MaxPool2D(3, 1)], 3),
    "of all": (Pools, lambda: [nn.AdaptiveMaxPool2D(1)], 0),
    "means": (Pools, lambda: [nn.AvgPool2D(2)], 0),
    "between concatenations": (BetweenConcatenations, lambda: [MaxPool2D(3, 2, padding=1)], 1),
    "one that leaves": (LastPool, lambda: [MaxPool2D(3, 2, padding=1)], 0),
}


@pytest.mark.parametrize("avx512", [False, True])
@pytest.mark.parametrize("case", POOLS)
def test_gradients_of_max_pools(case, avx512, monkeypatch):
    """Those of eager mode, for any number of images."""
    if avx512 and not onednn_has_avx512():
        pytest.skip("oneDNN has no AVX-512 here")
    monkeypatch.setattr(graph_gradients, "onednn_has_avx512", lambda: avx512)
    kind, pools, rewritten = POOLS[case]
    paddle.seed(0)
    network = kind(*pools())
    batches = [paddle.randn([count, 3, 13, 19]) for count in (3, 1, 4)]

    def gradients():
        found = [paddle.grad((network(images) ** 2).sum(), network.parameters()) for images in batches]
        return [one.numpy() for gradients in found for one in gradients]

    expected = gradients()
    mark_for_onednn(network, lambda one: True)
    paddle.jit.to_static(network, input_spec=[paddle.static.InputSpec([None, 3, 13, 19])], full_graph=True)
    plain_between_onednn(network, batches[0], REWRITTEN)
    found = gradients()
    graph = network.forward.get_concrete_program(batches[0])[1].train_program.global_block()
    unmark_for_onednn(network)
    marked = [one.type for one in graph.ops if one.type.startswith("pool2d") and one.attr("use_mkldnn")]
    counts = {"pool2d": 2 * rewritten, "pool2d_grad": rewritten}
    assert {name: marked.count(name) for name in counts} == (counts if avx512 else dict.fromkeys(counts, 0))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


def test_gelu_is_computed_by_onednn():
    """And its gradient, to rounding."""
    paddle.seed(0)
    network, images = Tokens(nn.GELU()), paddle.randn([2, 3, 12, 12])
    exact = paddle.grad((network(images) ** 2).sum(), network.parameters())
    mark_for_onednn(network, lambda one: True)
    paddle.jit.to_static(network, input_spec=[paddle.static.InputSpec([None, 3, 12, 12])], full_graph=True)
    assert plain_between_onednn(network, images, REWRITTEN) == 1
    found = paddle.grad((network(images) ** 2).sum(), network.parameters())
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)
    graph = network.forward.get_concrete_program(images)[1].train_program.global_block()
    unmark_for_onednn(network)
    assert all(one.attr("use_mkldnn") for one in graph.ops if one.type in ("gelu", "gelu_grad"))


class InPlace(nn.Layer):
    """Sums and activations of what others read, too, or leaves, or is another view of it; and of what nobody does."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Conv2D(3, 16, 3), Conv2D(16, 16, 3, padding=1)
        self.norm, self.last_norm = nn.BatchNorm2D(16), nn.BatchNorm2D(16)

    def forward(self, images):
        relu = F.relu
        begun = relu(self.norm(self.first(images)))  # in place, as the bias is added
        maps = relu(begun + self.second(begun))  # all in place of the second
        twice = self.last_norm(maps)
        maps = F.silu(twice) + relu(twice)
        summed = maps + twice
        return relu(summed.reshape([0, 16, -1])).mean(2) + summed.mean([2, 3]), twice, relu(maps)


def test_work_in_place_of_what_nobody_reads(monkeypatch):
    """To the same bits as otherwise."""
    paddle.seed(0)
    network, images = InPlace(), paddle.randn([2, 3, 12, 12])
    trained = [one for one in network.parameters() if not one.stop_gradient]
    numbers, written_over = [], []
    for kinds in ({}, paddle_graphs.IN_PLACE):
        monkeypatch.setattr(paddle_graphs, "IN_PLACE", kinds)
        mark_for_onednn(network, lambda one: True)
        spec = paddle.static.InputSpec([None, *images.shape[1:]])
        paddle.jit.to_static(network, input_spec=[spec], full_graph=True)
        plain_between_onednn(network, images, REWRITTEN)
        numbers.append([])
        for some in (images, images[:1], images):  # a kernel notes the layout of what it was given the last time
            answers = network(some)
            found = [*answers, *paddle.grad(sum((one**2).sum() for one in answers), trained)]
            numbers[-1] += [one.numpy() for one in found]
        operators = network.forward.get_concrete_program(images)[1].train_program.global_block().ops
        in_place = (one.type for one in operators if {*one.input_arg_names} & {*one.output_arg_names})
        written_over.append(Counter(in_place))
        vars(network).pop("forward")
        unmark_for_onednn(network)
    for one, other in zip(*numbers, strict=True):
        np.testing.assert_array_equal(one, other)
    of_paddle, of_both = written_over
    assert of_both - of_paddle == {"elementwise_add": 3, "relu": 2, "sum": 2, "relu_grad": 2}
