"""Weights and statistics as a function of their names in a source's state dict: what both sides fill a network with.

NumPy alone, so that the interpreter of a peer's package can run it. As in ``reference/weights.py`` the
numbers are the same bits under every NumPy.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np

POSITIONS = ("pos_embed", "cls_token", "reg_token", "dist_token", "relative_position_bias_table")


def value(name: str, shape: Sequence[int]) -> np.ndarray:
    """Float32 values of a tensor of the source, ``shape`` as it is there.

    Factors around 1, offsets and means of 0.1, variances around 1, products that keep the size of what
    goes through them.
    """
    shape = tuple(int(side) for side in shape)
    random = np.random.RandomState(zlib.crc32(name.encode()))
    normal = random.standard_normal(math.prod(shape)).reshape(shape)
    last = name.rsplit(".", 1)[-1]
    if last in ("running_var", "_variance"):
        return ((1 + 0.025 * normal) ** 8).astype(np.float32)
    if last == "logit_scale":
        return (math.log(5) + 0.1 * normal).astype(np.float32)
    if last in POSITIONS:
        return (0.5 * normal).astype(np.float32)
    if len(shape) > 1:
        return (normal * math.sqrt(shape[0] / math.prod(shape))).astype(np.float32)
    if last in ("weight", "gamma", "scale"):
        return (1 + 0.1 * normal).astype(np.float32)
    return (0.1 * normal).astype(np.float32)
