"""Values for every tensor of a network, by its name alone, the same wherever numpy is."""

import zlib

import numpy as np

CLASSES = 10
LARGE, PERIOD = 2_500_000, 1_000_003
"""Tensors of more values repeat so many of them: drawing them all would take longer than everything else."""


def normal(draw, shape):
    """Values of a normal distribution in a shape."""
    count = int(np.prod(shape))
    return np.resize(draw.standard_normal(count if count <= LARGE else PERIOD), shape)


def value(name, shape):
    """Random weights and statistics of a size under which signals neither fade nor explode."""
    leaf = name.rpartition(".")[2]
    draw = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    if len(shape) > 1:
        return (normal(draw, shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(np.float32)
    low, high = (0.6, 1.2) if leaf in ("weight", "running_var", "_variance") else (-0.2, 0.2)
    return draw.uniform(low, high, shape).astype(np.float32)


def images(size):
    return np.random.RandomState(7).uniform(-2, 2, (2, 3, size, size)).astype(np.float32)


def given(shape):
    """The gradient of logits in that shape."""
    return np.random.RandomState(11).standard_normal(tuple(shape)).astype(np.float32)
