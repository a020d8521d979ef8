"""Checks of what a caller may get wrong about a network: its arguments and the size of its images."""

from collections.abc import Iterable

import paddle

from imgcls.errors import UserError


def require_choice(choices: Iterable, **values: object) -> None:
    """Check arguments, given by name, to be among ``choices``.

    Raises:
        UserError: one is not.
    """
    choices = tuple(choices)
    for name, value in values.items():
        if value not in choices:
            raise UserError(f"{name}={value} is not possible. Take one of: {', '.join(map(str, choices))}.")


def require_positive(**numbers: float) -> None:
    """Check arguments, given by name, to be above 0.

    Raises:
        UserError: one is not.
    """
    for name, number in numbers.items():
        if number <= 0:
            raise UserError(f"{name}={number} is not possible. Take one above 0.")


def require_probability(**rates: float) -> None:
    """Check arguments, given by name, to be at least 0 and below 1.

    Raises:
        UserError: one is not.
    """
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise UserError(f"{name}={rate} is not a probability of dropping. Take one of at least 0 and below 1.")


def require_methods(network: object, use: str, *methods: str) -> None:
    """Check that a network can do more than give logits.

    Args:
        use: what needs the methods.

    Raises:
        UserError: it lacks one.
    """
    missing = [method for method in methods if not hasattr(network, method)]
    if missing:
        raise UserError(
            f"{type(network).__name__} has no {' and no '.join(missing)}, which {use} needs. Derive it from "
            "imgcls.models.layers.Network."
        )


def require_channels(in_channels: int, out_channels: int, groups: int, layer: str) -> None:
    """Check that a convolution, named by ``layer``, has channels and can divide them into its groups.

    Raises:
        UserError: it has none or cannot.
    """
    if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
        raise UserError(
            f"No convolution leads from {in_channels} to {out_channels} channels in {groups} groups ({layer}). "
            "Take another width or number of groups."
        )


def require_input_size(images: paddle.Tensor, smallest: int) -> None:
    """Check the sides of images ``[N, C, H, W]``; one that a static graph leaves open passes.

    Raises:
        UserError: one is shorter than ``smallest`` pixels.
    """
    sides = [side for side in images.shape[2:] if isinstance(side, int) and side >= 0]
    if sides and min(sides) < smallest:
        raise UserError(
            f"Images with a side of {min(sides)} pixels are too small for this network, which needs {smallest}. "
            "Enlarge them, or take another network."
        )
