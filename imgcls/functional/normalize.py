"""From uint8 pixels to a network's input: (x / 255 - mean) / std, channels first.

Data workers hand over uint8; this runs once per batch, on the device, inside the training step, and
inside an exported graph that takes uint8.
"""

from collections.abc import Sequence

import numpy as np
import paddle


def normalize(
    images: paddle.Tensor, mean: Sequence[float], std: Sequence[float], dtype: str = "float32"
) -> paddle.Tensor:
    """Normalise a batch on its device.

    Args:
        images: ``[N, H, W, C]``, uint8 or float32 from 0 to 255.
        mean: of each channel, in the range 0 to 1.
        std: likewise.
        dtype: of the result; the arithmetic is float32 whatever it is.

    Returns:
        ``[N, C, H, W]``.
    """
    if paddle.in_dynamic_mode() and images.stop_gradient and images.place.is_cpu_place():
        # Paddle's transposition is put off to where it is dearest: the same bits take it five times as long
        result = paddle.to_tensor(normalize_array(images.numpy(), mean, std), place=images.place)
        return result if dtype == "float32" else result.astype(dtype)
    scale, shift = (paddle.to_tensor(values) for values in _scale_and_shift(mean, std))
    channels_first = paddle.transpose(images.astype("float32"), [0, 3, 1, 2])
    return (channels_first * scale + shift).astype(dtype)


def normalize_array(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """The same with numpy: ``[N, H, W, C]`` to float32 ``[N, C, H, W]``, contiguous."""
    scale, shift = _scale_and_shift(mean, std)
    result = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
    result *= scale
    result += shift
    return result


def _scale_and_shift(mean: Sequence[float], std: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """For channels first: float32 ``[C, 1, 1]`` each."""
    mean, std = (np.asarray(values, np.float64).reshape(-1, 1, 1) for values in (mean, std))
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
