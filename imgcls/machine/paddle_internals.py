"""Every private name of Paddle that this library needs, each in one function: what a new Paddle is checked for.

Nothing here is documented by Paddle, and any release may change it. ``tests/machine/test_paddle_internals.py``
has a test for each, which fails if the name is gone or means something else. It stands on the lowest
floor because networks need it as well as the loop that trains them. ``paddle_graphs`` is its second sheet.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import paddle
from paddle import nn
from paddle.amp import GradScaler
from paddle.base import core, unique_name
from paddle.base.framework import in_dynamic_or_pir_mode
from paddle.base.layer_helper import LayerHelper
from paddle.jit.dy2static.program_translator import FunctionCache
from paddle.nn.functional import conv
from paddle.optimizer import Optimizer
from paddle.optimizer.lr import LRScheduler

from imgcls.machine import cpu


class OpenModel(paddle.Model):
    """``paddle.Model`` with its optimizer, its ``DataParallel`` and its pass over a loader in view."""

    @property
    def optimizer(self) -> Optimizer | None:
        """As it was given to ``prepare``."""
        return self._optimizer

    @property
    def data_parallel(self) -> paddle.DataParallel | None:
        """The network as several ranks train it together; ``None`` in a process by itself."""
        return getattr(self._adapter, "ddp_model", None)

    def run_epoch(self, loader, run: Callable[[Any], dict], mode: str) -> dict:
        """Override it to change how ``fit`` and ``evaluate`` go over a loader once.

        Args:
            run: Paddle's own pass over the loader it is given; returns the logs for the callbacks.
            mode: ``train`` or ``eval``.
        """
        return run(loader)

    def _run_one_epoch(self, data_loader, callbacks, mode, logs=None):
        whole = super()._run_one_epoch
        return self.run_epoch(data_loader, lambda loader: whole(loader, callbacks, mode, logs={}), mode)


def lr_scheduler(optimizer: Optimizer) -> LRScheduler | float:
    """What the optimizer was given as its learning rate."""
    return optimizer._learning_rate


def unclaimed_state(optimizer: Optimizer) -> dict[str, Any]:
    """Of a state that was loaded, what waits for the first update; ``state_dict`` leaves it out."""
    return optimizer._accumulators_holder


def master_weights(optimizer: Optimizer | None) -> dict[str, paddle.Tensor]:
    """The float32 originals of parameters in half precision, by the parameter's name; they come with the first update.

    They are the optimizer's own tensors, whose values follow the updates.
    """
    return getattr(optimizer, "_master_weights", None) or {}


def loss_scale(scaler: GradScaler) -> paddle.Tensor:
    """The factor of the loss now, float32 ``[1]``; only of a scaler that is enabled."""
    return scaler._scale


def set_loss_scale(scaler: GradScaler, scale: paddle.Tensor) -> None:
    """Go on from another factor, without starting the scaler's counts anew."""
    scaler._scale = scale


def overflowed(scaler: GradScaler) -> bool:
    """Whether the gradients of the last ``step`` were not finite, so that it changed nothing; ask before ``update``."""
    found = scaler._cache_founf_inf if hasattr(scaler, "_cache_founf_inf") else scaler._cache_found_inf  # Paddle 3
    return bool(found)


def name_scope() -> Callable[[], contextlib.AbstractContextManager]:
    """A numbering of automatic tensor names that starts at 0, and goes on each time its context is entered."""
    return partial(unique_name.guard, unique_name.UniqueNameGenerator())


def rendezvous_store():
    """The key-value store that the ranks of a run found each other by: ``set(key, text)``, ``get(key)`` waits."""
    return core.create_or_get_global_tcp_store()


@contextlib.contextmanager
def one_group() -> Iterator[None]:
    """Let fleet use the group of all ranks wherever it would make another one of them.

    In Paddle 2.6.2 every gloo group tells its addresses under the same names in the store, whatever
    its number. A rank that makes its next group early finds the others' addresses of the one before:
    "Connection refused", or a wait without end, in more than half of the starts of four ranks on two cores.
    """
    make = paddle.distributed.new_group

    def new_group(ranks: list[int] | None = None, *args, **kwargs):
        every = paddle.distributed.get_group(0)
        return every if ranks and sorted(ranks) == sorted(every.ranks) else make(ranks, *args, **kwargs)

    paddle.distributed.new_group = new_group
    try:
        yield
    finally:
        paddle.distributed.new_group = make


def numbers_of(tensor: paddle.Tensor) -> np.ndarray:
    """Its numbers, flat, in its own memory: what is written there is the tensor's, as long as the tensor lives.

    Args:
        tensor: float32 or float64, on a CPU.

    Raises:
        ValueError: it is a view of another tensor, in another order than its numbers.
    """
    if not tensor.is_contiguous():
        raise ValueError(f"a view of numbers in another order: {list(tensor.shape)} by steps of {list(tensor.strides)}")
    return np.asarray(_Memory(tensor.data_ptr(), math.prod(tensor.shape), FLOATS[tensor.dtype]))


FLOATS = {paddle.float32: "<f4", paddle.float64: "<f8"}
"""By numpy's names."""


class _Memory:
    """For numpy, by its array interface: ten times as fast as by a type of ``ctypes`` for each size."""

    __slots__ = ("__array_interface__",)

    def __init__(self, address: int, count: int, typestr: str):
        self.__array_interface__ = {"data": (address, False), "shape": (count,), "typestr": typestr, "version": 3}


class BatchNormParts(NamedTuple):
    """What a batch norm holds beside ``weight`` and ``bias``; the statistics are its own tensors."""

    mean: paddle.Tensor
    variance: paddle.Tensor
    momentum: float
    epsilon: float
    data_format: str
    use_global_stats: bool | None


def batch_norm_parts(norm: nn.Layer) -> BatchNormParts:
    """Of an ``nn.BatchNorm1D``, ``2D`` or ``3D``."""
    return BatchNormParts(
        norm._mean, norm._variance, norm._momentum, norm._epsilon, norm._data_format, norm._use_global_stats
    )


def channel_groups(convolution: nn.Layer) -> int:
    """``groups`` of a convolution."""
    return convolution._groups


class Conv2D(nn.Conv2D):
    """``nn.Conv2D`` that adds its bias fast on a CPU, to the same bits.

    Paddle reshapes the bias and broadcasts it, which on a CPU takes longer than many a convolution; the
    kernel of its older operator adds it along an axis. Elsewhere, and in graphs, all is as in Paddle.
    """

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self._goes_to_onednn():
            return self._onednn(x)
        if not self._adds_along_axis(x):
            return nn.Conv2D.forward(self, x)  # a bare super() cannot be translated to a graph
        bias, self.__dict__["bias"] = self.bias, None  # found before the parameter of that name
        try:
            without = nn.Conv2D.forward(self, x)
        finally:
            del self.__dict__["bias"]
        return ADD_ALONG_AXIS(without, bias, "axis", self._channel_dim)

    @paddle.jit.not_to_static
    def _adds_along_axis(self, x: paddle.Tensor) -> bool:
        if self.bias is None or ADD_ALONG_AXIS is None or not paddle.in_dynamic_mode():
            return False
        return x.place.is_cpu_place()

    onednn: bool | None = None
    """In graphs: whether oneDNN computes the convolution; ``None`` leaves all as it is in Paddle."""

    @paddle.jit.not_to_static
    def _goes_to_onednn(self) -> bool:
        return self.onednn is not None and not paddle.in_dynamic_mode()

    @paddle.jit.not_to_static
    def _onednn(self, x: paddle.Tensor) -> paddle.Tensor:
        """The operators of a graph: the filter times 1, the convolution, marked if it is to be, and the bias."""
        weight, bias, before = self.weight, self.bias, self.__dict__.copy()
        self.__dict__["bias"] = None  # found before the parameter of that name
        if self.onednn:
            self.__dict__["weight"] = paddle.scale(weight, 1.0)
        try:
            with fast_convolutions():
                out = nn.Conv2D.forward(self, x)
        finally:
            self.__dict__.clear()
            self.__dict__.update(before)
        if self.onednn:
            operator = paddle.static.default_main_program().current_block().ops[-1]
            if operator.type not in ("conv2d", "depthwise_conv2d"):
                raise RuntimeError(f"{operator.type} where a convolution was expected")
            operator._set_attr("use_mkldnn", True)
        return out if bias is None else _append_add(out, bias, self._channel_dim)


def kernel_size(convolution: nn.Layer) -> Sequence[int]:
    """Height and width, of an ``nn.Conv2D``."""
    return convolution._kernel_size


ADD_ALONG_AXIS = getattr(getattr(paddle, "_legacy_C_ops", None), "elementwise_add", None)
"""``None`` in a Paddle that has it no more."""


def transpose(x: paddle.Tensor, order: Sequence[int]) -> paddle.Tensor:
    """``paddle.transpose``, on a CPU in eager mode with numbers in their new order at once.

    Paddle gives a view, and each operator that reads one, forward or backward, copies it first: on a CPU in
    twenty times the time that the older operator takes for numbers in order.
    """
    if TRANSPOSE is None or not is_eager_on_cpu(x):
        return paddle.transpose(x, order)
    return TRANSPOSE(x, "axis", order)[0]


TRANSPOSE = getattr(getattr(paddle, "_legacy_C_ops", None), "transpose2", None)
"""``None`` in a Paddle that has it no more."""


@paddle.jit.not_to_static
def is_eager_on_cpu(x: paddle.Tensor) -> bool:
    """Whether operators compute at once, and on a processor; never while a graph is made."""
    return paddle.in_dynamic_mode() and x.place.is_cpu_place()


@contextlib.contextmanager
def fast_convolutions() -> Iterator[None]:
    """Convolutions of graphs that are made in this context are as optimisers and oneDNN expect them.

    A bias is added along an axis: Paddle 2.6.2 reshapes it first, and then neither its own passes for oneDNN nor
    other engines take the sum for a part of the convolution. And maps are padded apart where it does oneDNN good
    (``_padded``). Without effect where Paddle makes its graphs in another way.
    """
    original = getattr(conv, "_conv_nd", None)

    def convolve(x, weight, bias=None, *args, **kwargs):
        if args or in_dynamic_or_pir_mode():
            return original(x, weight, bias, *args, **kwargs)
        x, kwargs = _padded(x, weight, kwargs)
        dimension = kwargs.get("channel_dim", 1)
        if bias is None or dimension < 0 or len(bias.shape) != 1:
            return original(x, weight, bias, **kwargs)
        return _append_add(original(x, weight, None, **kwargs), bias, dimension)

    if original is None:
        yield
        return
    conv._conv_nd = convolve
    try:
        yield
    finally:
        conv._conv_nd = original


WIDEST_PADDED = 7
"""Of a filter that moves by strides, for which oneDNN 3.2 on AVX2 has a kernel that pads; of wider ones, without it has
its slowest way, ten times as long (AlexNet's first)."""


def _padded(x, weight, convolution: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Maps and the arguments of a convolution in a graph, with the zeros around maps put there before, if need be."""
    padding, strides = convolution.get("padding", [0]), convolution.get("stride", [1])
    explicit = convolution.get("padding_algorithm", "EXPLICIT") == "EXPLICIT" and len(padding) == 2 and max(padding) > 0
    if len(weight.shape) != 4 or max(weight.shape[2:]) <= WIDEST_PADDED or max(strides) == 1 or not explicit:
        return x, convolution
    (above, left), data_format = padding, convolution.get("data_format", "NCHW")
    x = nn.functional.pad(x, [left, left, above, above], data_format=data_format)
    return x, {**convolution, "padding": [0, 0]}


def _append_add(x, bias, axis: int):
    helper = LayerHelper("conv2d")
    result = helper.create_variable_for_type_inference(x.dtype)
    helper.append_op(
        type="elementwise_add", inputs={"X": [x], "Y": [bias]}, outputs={"Out": [result]}, attrs={"axis": axis}
    )
    return result


def stride(convolution: nn.Layer) -> Sequence[int]:
    """Down and across, of an ``nn.Conv2D``."""
    return convolution._stride


def epsilon(batch_norm: nn.Layer) -> float:
    """What a batch norm adds to the variance."""
    return batch_norm._epsilon


def set_layer_data_format(layer: nn.Layer, data_format: str) -> None:
    """Make one of Paddle's layers compute on maps in another format; without effect on layers that know none."""
    if hasattr(layer, "_data_format"):  # read on every call
        layer._data_format = data_format
    if isinstance(layer, nn.Conv2D):
        layer._channel_dim = data_format.index("C")


@contextlib.contextmanager
def own_forward(network: nn.Layer) -> Iterator[None]:
    """Every layer has its own ``forward`` again after this context.

    ``paddle.jit.save`` puts a translated one on each layer: breakpoints no longer stop in it, and a
    layer saved inside another cannot be saved by itself after that.
    """
    layers = network.sublayers(include_self=True)
    before = [(vars(layer).get("forward"), layer._original_funcs.copy()) for layer in layers]
    try:
        yield
    finally:
        for layer, (forward, originals) in zip(layers, before, strict=True):
            vars(layer).pop("forward", None)
            if forward is not None:
                vars(layer)["forward"] = forward
            layer._original_funcs = originals


@contextlib.contextmanager
def methods_translated_once() -> Iterator[None]:
    """Inside this context ``paddle.jit`` translates the source of a method once, not for every layer that has it.

    Paddle remembers what it has translated by the function. A bound method is another object each time, so each of
    fifty convolutions was parsed, rewritten, compiled and imported again: half the time of an export. What is
    remembered ends with the context, for a translation holds the globals of its module as they were.
    """
    translate = FunctionCache.convert_with_cache
    translated: dict[Callable, Callable] = {}

    def once(self: FunctionCache, function: Callable) -> Callable:
        plain = getattr(function, "__func__", None)
        if plain is None:
            return translate(self, function)
        if plain not in translated:
            translated[plain] = translate(self, function)
        return translated[plain]

    FunctionCache.convert_with_cache = once
    try:
        yield
    finally:
        FunctionCache.convert_with_cache = translate


def onednn_has_avx512() -> bool:
    """Whether oneDNN may use AVX-512 (``avx512_core``), which is all that Paddle calls support of bfloat16."""
    return core.supports_bfloat16() and not cpu.onednn_is_kept_from_avx512()


def supports_bfloat16() -> bool:
    """Whether oneDNN has instructions for bfloat16 (``avx512_bf16``) on this processor, and may use them.

    Without them it takes three times as long as in float32, and fails for batches of more than one picture.
    """
    return core.supports_bfloat16_fast_performance() and not cpu.onednn_is_kept_from_bfloat16()
