"""A network's graph with oneDNN's convolutions, taken only if its gradients are those of the layers one by one."""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import paddle
from paddle import nn

from imgcls.engine.graph_gradients import REWRITTEN
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.paddle_graphs import (
    has_onednn_graphs,
    mark_for_onednn,
    plain_between_onednn,
    unmark_for_onednn,
)
from imgcls.machine.paddle_internals import kernel_size, methods_translated_once

log = logging.getLogger("imgcls")

SMALLEST_TOLERANCE = 1e-3
"""Accepted relative difference of a gradient where images that are a rounding away give no larger one."""

SENSITIVITY = 100.0
"""How much larger a difference may be than that which a change of the images by one rounding makes."""

LARGEST_TOLERANCE = 1.0
"""What no rounding excuses: a gradient in another order of its numbers differs by 1.4 of its norm."""

ALL_ROUNDING, NOTHING = 0.3, 1e-3
"""A gradient of which roundings make more than this share, and whose numbers are smaller than this share of those of
others, would be zero without them: that of a batch norm's bias where another batch norm follows. All of it differs."""

ROUNDING, ONES = 2.0**-23, np.float32([-1, 1])
MORE_ROUNDINGS = 2
"""Of single numbers up or down, before a network is refused: a ReLU near zero turns by some and not by others."""

OTHERS = tuple((axes, sign) for sign in (1, -1) for axes in ((), (3,), (2,), (2, 3)))[1:]
"""Other images that are as good as these, to look at before a network is refused: mirrored along axes, and negatives.

Of ResNet34_vd three of eight such batches (3 images, 96 pixels) had a ReLU that a kernel's rounding turned.
"""

Gradients = dict[str, np.ndarray]


def above_1x1(convolution: nn.Layer) -> bool:
    """What is known to be safe and fast with oneDNN."""
    return max(kernel_size(convolution)) > 1


def compile_with_onednn(
    network: nn.Layer,
    images: paddle.Tensor,
    loss: Callable[[], paddle.Tensor],
    chosen: Callable[[nn.Layer], bool] = above_1x1,
) -> None:
    """Turn ``forward`` into a graph, in place, and compare its gradients with those before.

    The network, its statistics and the random numbers are left as they were.

    Args:
        images: of a training batch, normalised ``[N, C, H, W]``.
        loss: that of ``network`` for this batch.
        chosen: the convolutions that oneDNN computes.

    Raises:
        UserError: the gradients differ, with figures; this Paddle has no such kernels. The network has its own
            ``forward`` again.
    """
    if not has_onednn_graphs():
        raise UserError(
            f"{_ASKED}: the graphs of PaddlePaddle {paddle.__version__} have no kernels of oneDNN to train with, those "
            f"of 2.6.2 have. {_WITHOUT}"
        )
    cpu.keep_activations()
    exact, nearby = gradients(network, loss), [_of_rounded(network, images, loss, 1.0)]
    marked = mark_for_onednn(network, chosen)
    try:
        if not marked:
            raise UserError(f"{_ASKED}: there is no convolution of this network that oneDNN could compute. {_WITHOUT}")
        spec = paddle.static.InputSpec([None, *images.shape[1:]], images.dtype)
        paddle.jit.to_static(network, input_spec=[spec], full_graph=True)
        with methods_translated_once():
            activations = plain_between_onednn(network, images, REWRITTEN)
        found = gradients(network, loss)
        try:
            require_equal(exact, nearby, found)
        except UserError:
            _look_again(network, images, loss, exact, nearby, found)
    except BaseException as error:
        layer_by_layer(network)
        if isinstance(error, RuntimeError | ValueError):
            raise UserError(f"{_ASKED}: this Paddle cannot ({_essence(error)}). {_WITHOUT}") from error
        raise
    log.info(
        "%d convolutions are computed by oneDNN, and %d activations; their gradients are those of eager training. It "
        "takes 2 to 3.5 times its memory.",
        marked,
        activations,
    )


def _essence(error: Exception) -> str:
    """The line that says what is wrong, of Paddle's messages, which begin with where in the source it was."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if re.match(r"\w+Error: ", line)), lines[0])


def _look_again(
    network: nn.Layer,
    images: paddle.Tensor,
    loss: Callable[[], paddle.Tensor],
    exact: Gradients,
    nearby: Sequence[Gradients],
    found: Gradients,
) -> None:
    """After gradients have differed: whether they do so with more roundings allowed, and of other images.

    What one rounding makes is not all that roundings can make. Where a number near zero passes a ReLU in one way and
    not in the other, the gradients before it differ by percents, of some images and not of others; what a wrong
    kernel computes is wrong of all.

    Raises:
        UserError: as ``require_equal``, of the images as they are.
    """
    refused = None
    for axes, sign in (((), 1), *OTHERS):
        as_they_are = (axes, sign) == ((), 1)
        with _changed(images, sign * (images.flip(axes) if axes else images)):
            if not as_they_are:
                found = gradients(network, loss)
            graph = vars(network).pop("forward")
            if not as_they_are:
                exact, nearby = gradients(network, loss), []
            signs = [np.random.default_rng(seed).choice(ONES, images.shape) for seed in range(MORE_ROUNDINGS)]
            nearby = [*nearby, *(_of_rounded(network, images, loss, one) for one in signs)]
            vars(network)["forward"] = graph
        try:
            return require_equal(exact, nearby, found)
        except UserError as error:
            refused = refused or error
    raise refused


def layer_by_layer(network: nn.Layer) -> None:
    """Take back what ``compile_with_onednn`` has done."""
    vars(network).pop("forward", None)
    unmark_for_onednn(network)


def _of_rounded(
    network: nn.Layer, images: paddle.Tensor, loss: Callable[[], paddle.Tensor], signs: float | np.ndarray
) -> Gradients:
    """Gradients for images that are one rounding away, up or down."""
    with _changed(images, images * paddle.to_tensor(1 + ROUNDING * signs, images.dtype)):
        return gradients(network, loss)


@contextlib.contextmanager
def _changed(images: paddle.Tensor, values: paddle.Tensor) -> Iterator[None]:
    """Inside, the tensor has these values; then its own again."""
    before = images.clone()
    images.set_value(values)
    try:
        yield
    finally:
        images.set_value(before)


def require_equal(exact: Gradients, nearby: Sequence[Gradients], found: Gradients) -> None:
    """Compare gradients, tensor by tensor, relative to their norm.

    Args:
        nearby: of images that are one rounding away: how far rounding alone leads.

    Raises:
        UserError: naming the worst tensor.
    """
    worst, wrong = (0.0, 0.0, ""), 0
    sizes = {name: float(np.linalg.norm(gradient)) for name, gradient in exact.items() if np.any(gradient)}
    per_number = {name: size / exact[name].size ** 0.5 for name, size in sizes.items()}
    nothing = NOTHING * float(np.median(list(per_number.values()) or [0.0]))
    for name, size in sizes.items():
        gradient = exact[name]
        by_rounding = max(float(np.linalg.norm(one[name] - gradient)) for one in nearby) / size
        difference = float(np.linalg.norm(found[name] - gradient)) / size if name in found else np.inf
        allowed = max(SMALLEST_TOLERANCE, SENSITIVITY * by_rounding)
        if by_rounding < ALL_ROUNDING or per_number[name] > nothing:
            allowed = min(allowed, LARGEST_TOLERANCE)
        if not difference <= allowed:
            wrong += 1
            worst = max(worst, (difference, allowed, name))
    if wrong:
        difference, allowed, name = worst
        raise UserError(
            f"{_ASKED}: the gradients of {wrong} of {len(exact)} tensors differ from those of eager training, that of "
            f"{name} by {difference:.2g} of its norm, more than {allowed:.2g}. {_WITHOUT}"
        )


_ASKED = "trainer.compile=onednn"
_WITHOUT = "Nothing was trained with it: set trainer.compile=false."


def gradients(network: nn.Layer, loss: Callable[[], paddle.Tensor]) -> Gradients:
    """Of the batch, with the network's statistics and the random numbers as they were before."""
    statistics = [(tensor, tensor.clone()) for tensor in network.state_dict().values() if tensor.stop_gradient]
    random = paddle.get_rng_state()
    trained = {name: one for name, one in network.named_parameters() if not one.stop_gradient}
    try:  # not by backward(): a parameter that takes no part would have a gradient of 0 then, and decay
        found = paddle.grad(loss(), list(trained.values()), allow_unused=True)
        pairs = zip(trained, found, strict=True)
        return {name: gradient.numpy() for name, gradient in pairs if gradient is not None}
    finally:
        paddle.set_rng_state(random)
        for tensor, value in statistics:
            tensor.set_value(value)
