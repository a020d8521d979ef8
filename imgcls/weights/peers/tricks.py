"""The exact ways by which a network with a little more, or a little else, computes what a peer's does.

All of arrays in float32, to some units of the last place.
"""

import numpy as np


def identity_convolution(shape: tuple[int, ...]) -> np.ndarray:
    """A kernel ``(out, in / groups, kh, kw)`` that gives its input: 1 from each channel to itself."""
    out_channels, in_channels, height, width = shape
    kernel = np.zeros(shape, np.float32)
    channels = np.arange(out_channels)
    kernel[channels, channels % in_channels, height // 2, width // 2] = 1
    return kernel


def identity_batch_norm(channels: int, epsilon: float) -> dict[str, np.ndarray]:
    """A batch norm that gives its input in evaluation; in training it normalises, as any does."""
    zeros, ones = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    return {"weight": ones, "bias": zeros, "_mean": zeros, "_variance": (ones - epsilon).astype(np.float32)}


def divide_by_kept(weight: np.ndarray, dropout: float) -> np.ndarray:
    """Weights behind a dropout that multiplies by ``1 - dropout`` at inference, of ones behind one that does not."""
    return (weight / np.float32(1 - dropout)).astype(np.float32)


def fold_epsilon(gamma: np.ndarray, variance: np.ndarray, theirs: float, ours: float) -> np.ndarray:
    """The scale of a batch norm with the epsilon ``ours`` that computes what ``gamma`` does with ``theirs``."""
    variance = variance.astype(np.float64)
    return (gamma * np.sqrt((variance + ours) / (variance + theirs))).astype(np.float32)


def fold_bias(mean: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The mean of a batch norm behind a convolution without a bias, of one behind a convolution with it."""
    return mean - bias
