"""Make stored tensors fit a network of another input or element type, or say why they cannot."""

import numpy as np


def is_class_axis_mismatch(have: tuple[int, ...], want: tuple[int, ...]) -> bool:
    """Whether two shapes of a head tensor differ in the class count only.

    The classes are the last axis of a fully connected weight ``(in, out)`` and the first of a
    convolution's ``(out, in, kh, kw)`` and of a bias.
    """
    if len(have) != len(want) or len(want) not in (1, 2, 4) or have == want:
        return False
    axis = _class_axis(want)
    return have[:axis] + have[axis + 1 :] == want[:axis] + want[axis + 1 :]


def class_count(shape: tuple[int, ...]) -> int:
    """Number of classes a head tensor of this shape is made for."""
    return shape[_class_axis(shape)]


def is_input_axis_mismatch(have: tuple[int, ...], want: tuple[int, ...]) -> bool:
    """Whether a convolution made for RGB differs from the wanted one in its input channels only."""
    return len(have) == len(want) == 4 and have[1] == 3 != want[1] and have[:1] + have[2:] == want[:1] + want[2:]


def adapt_input_channels(weight: np.ndarray, in_channels: int) -> np.ndarray:
    """First convolution ``(out, 3, kh, kw)`` for images of ``in_channels``.

    One channel: the sum, which gives a grey image the response its three equal channels had.
    Several: red, green, blue in turn, scaled by ``3 / in_channels`` to keep the response's size.
    """
    if in_channels == 1:
        return weight.sum(axis=1, keepdims=True)
    return weight[:, np.arange(in_channels) % 3] * np.float32(3 / in_channels)


def of_other_classes(tensor: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Head tensor whose classes are means of those of another.

    Args:
        tensor: of ``K`` classes, with axes as in ``is_class_axis_mismatch``.
        shares: ``[C, K]``, of each old class in each new one.
    """
    axis = _class_axis(tensor.shape)
    return np.moveaxis(np.tensordot(shares, tensor, (1, axis)), 0, axis).astype(tensor.dtype)


def keep_classes(tensor: np.ndarray, former: np.ndarray, kept: np.ndarray) -> None:
    """Of a head tensor give some classes the values of ``former``, in place.

    Args:
        kept: bool ``[C]``.
    """
    axis = _class_axis(tensor.shape)
    np.moveaxis(tensor, axis, 0)[kept] = np.moveaxis(former, axis, 0)[kept]


def to_float32(array: np.ndarray) -> np.ndarray:
    """float16, float64 and bfloat16 (which numpy knows as ``uint16``) as float32; anything else as it is."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    return array


def _class_axis(shape: tuple[int, ...]) -> int:
    return 1 if len(shape) == 2 else 0
