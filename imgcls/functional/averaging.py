"""Exponential moving average of weights, kept in float32 whatever the network's precision.

The rule is the original's: the average starts at zero, is updated after the optimizer's step, and
takes in everything the network saves, the statistics of its batch norms included.
"""

from collections.abc import Mapping

import paddle


def ema_decay_at(step: int, decay: float, warmup: bool = True) -> float:
    """Share of the old average that update ``step`` (from 0) keeps.

    With ``warmup`` it is ``(step + 1) / (step + 10)`` until that exceeds ``decay``, so that a young
    average follows the weights and the zeros it started from are soon gone.
    """
    return min(decay, (step + 1) / (step + 10)) if warmup else decay


@paddle.no_grad()
def start(current: Mapping[str, paddle.Tensor], from_zero: bool = True) -> dict[str, paddle.Tensor]:
    """A float32 average of the floating-point tensors of ``current``, a ``state_dict`` for instance.

    Args:
        from_zero: begin with zeros, as the original; otherwise with copies, as a decay without
            warm-up needs.
    """
    shadow = {name: tensor.astype("float32") for name, tensor in current.items() if tensor.is_floating_point()}
    return {name: paddle.zeros_like(tensor) if from_zero else tensor.clone() for name, tensor in shadow.items()}


@paddle.no_grad()
def update(shadow: Mapping[str, paddle.Tensor], current: Mapping[str, paddle.Tensor], decay: float) -> None:
    """``shadow = decay * shadow + (1 - decay) * current``, in place, for every tensor of ``shadow``.

    Args:
        current: holds the names of ``shadow`` at least, in any floating-point precision.
    """
    for name, average in shadow.items():
        value = current[name]
        if value.dtype != average.dtype:
            value = value.astype(average.dtype)
        # The same rule written as a correction: 1 - decay is rounded from float64, and what is equal stays equal.
        average.subtract_((average - value).scale_(1 - decay))
