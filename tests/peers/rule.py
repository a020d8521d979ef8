"""Weights and statistics as a function of their names in a source's state dict: what both sides fill a network with.

NumPy alone, so that the interpreter of a peer's package can run it. As in ``reference/weights.py`` the
numbers are the same bits under every NumPy.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np

LARGE, PERIOD = 2_500_000, 1_000_003
"""Tensors of more values repeat so many of them: drawing them all would take longer than everything else."""

POSITIONS = ("pos_embed", "cls_token", "reg_token", "dist_token", "relative_position_bias_table")


GAINS = {
    "pplcnet_": 4.0,
    "pplcnetv2_": 1.8,
    "pphgnet": 1.8,
    "mobilenetv3": 2.2,
    "tf_mobilenetv3": 1.8,
    "mobilenetv4": 1.5,
    "tf_efficientnetv2_b": 1.6,
    "tf_efficientnetv2_b0": 1.8,
    "tf_efficientnetv2_b3": 1.5,
    "efficientnetv2": 1.3,
    "tf_efficientnetv2_": 1.3,
    "efficientnetv2_m": 1.2,
    "tf_efficientnetv2_m": 1.2,
    "efficientnetv2_l": 1.15,
    "tf_efficientnetv2_l": 1.15,
    "mobilenetv3_large": 1.8,
}
"""Of convolutions, by the beginning of a network's name: where activations and gates make maps smaller and smaller.

Where they let them grow, PyTorch's own logits in float32 and in float64 differ by more than ours do from it.
"""


def gain(network: str) -> float:
    """The factor of the variance of a network's convolutions, of which its logits come out neither still nor wild."""
    fitting = [beginning for beginning in GAINS if network.startswith(beginning)]
    return GAINS[max(fitting, key=len)] if fitting else 1.0


def value(name: str, shape: Sequence[int], gain: float = 1.0) -> np.ndarray:
    """Float32 values of a tensor of the source, ``shape`` as it is there.

    Factors around 1, offsets and means of 0.1, variances around 1, products that keep the size of what
    goes through them.
    """
    shape = tuple(int(side) for side in shape)
    random = np.random.RandomState(zlib.crc32(name.encode()))
    count = math.prod(shape)
    normal = np.resize(random.standard_normal(count if count <= LARGE else PERIOD), shape)
    last = name.rsplit(".", 1)[-1]
    if last in ("running_var", "_variance"):
        return ((1 + 0.025 * normal) ** 8).astype(np.float32)
    if last == "logit_scale":
        return (math.log(5) + 0.1 * normal).astype(np.float32)
    if last in POSITIONS:
        return (0.5 * normal).astype(np.float32)
    if len(shape) > 1:
        return (normal * math.sqrt((gain if len(shape) == 4 else 1) * shape[0] / math.prod(shape))).astype(np.float32)
    if last in ("weight", "gamma", "scale"):
        return (1 + 0.1 * normal).astype(np.float32)
    return (0.1 * normal).astype(np.float32)
