"""A network's graph with oneDNN's convolutions, taken only if its gradients are those of the layers one by one."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import paddle
from paddle import nn

from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.paddle_internals import (
    has_onednn_graphs,
    kernel_size,
    mark_for_onednn,
    plain_between_onednn,
    unmark_for_onednn,
)

log = logging.getLogger("imgcls")

SMALLEST_TOLERANCE = 1e-3
"""Accepted relative difference of a gradient where images that are a rounding away give no larger one."""

SENSITIVITY = 100.0
"""How much larger a difference may be than that which a change of the images by one rounding makes."""

LARGEST_TOLERANCE = 1.0
"""What no rounding excuses: a gradient in another order of its numbers differs by 1.4 of its norm."""

ROUNDING, ONES = 2.0**-23, np.float32([-1, 1])
MORE_ROUNDINGS = 2
"""Of single numbers up or down, before a network is refused: a ReLU near zero turns by some and not by others."""

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
    exact = gradients(network, loss)
    if not has_onednn_graphs():
        raise UserError(
            f"{_ASKED}: the graphs of PaddlePaddle {paddle.__version__} have no kernels of oneDNN to train with, those "
            f"of 2.6.2 have. {_WITHOUT}"
        )
    cpu.keep_activations()
    nearby = [_of_rounded(network, images, loss, 1.0)]
    marked = mark_for_onednn(network, chosen)
    try:
        if not marked:
            raise UserError(f"{_ASKED}: there is no convolution of this network that oneDNN could compute. {_WITHOUT}")
        spec = paddle.static.InputSpec([None, *images.shape[1:]], images.dtype)
        paddle.jit.to_static(network, input_spec=[spec], full_graph=True)
        activations = plain_between_onednn(network, images)
        found = gradients(network, loss)
        try:
            require_equal(exact, nearby, found)
        except UserError:  # one rounding does not make all that roundings can
            graph = vars(network).pop("forward")
            signs = map(np.random.default_rng, range(MORE_ROUNDINGS))
            nearby += [_of_rounded(network, images, loss, one.choice(ONES, images.shape)) for one in signs]
            vars(network)["forward"] = graph
            require_equal(exact, nearby, found)
    except BaseException as error:
        vars(network).pop("forward", None)
        unmark_for_onednn(network)
        if isinstance(error, RuntimeError):
            raise UserError(f"{_ASKED}: this Paddle cannot ({str(error).splitlines()[0]}). {_WITHOUT}") from error
        raise
    log.info(
        "%d convolutions are computed by oneDNN, and %d activations; their gradients are those of eager training. It "
        "takes 2 to 3.5 times its memory.",
        marked,
        activations,
    )


def _of_rounded(
    network: nn.Layer, images: paddle.Tensor, loss: Callable[[], paddle.Tensor], signs: float | np.ndarray
) -> Gradients:
    """Gradients for images that are one rounding away, up or down; then they are as before."""
    before = images.clone()
    with paddle.no_grad():
        images.set_value(before * paddle.to_tensor(1 + ROUNDING * signs, images.dtype))
    found = gradients(network, loss)
    images.set_value(before)
    return found


def require_equal(exact: Gradients, nearby: Sequence[Gradients], found: Gradients) -> None:
    """Compare gradients, tensor by tensor, relative to their norm.

    Args:
        nearby: of images that are one rounding away: how far rounding alone leads.

    Raises:
        UserError: naming the worst tensor.
    """
    worst, wrong = (0.0, 0.0, ""), 0
    for name, gradient in exact.items():
        size = float(np.linalg.norm(gradient))
        if size == 0:
            continue
        by_rounding = max(float(np.linalg.norm(one[name] - gradient)) for one in nearby) / size
        difference = float(np.linalg.norm(found[name] - gradient)) / size if name in found else np.inf
        allowed = min(max(SMALLEST_TOLERANCE, SENSITIVITY * by_rounding), LARGEST_TOLERANCE)
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
