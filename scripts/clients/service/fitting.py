"""From a decoded picture to the pixels of the network's input: centre crop, letterbox or stretch, as exported."""

from importlib import import_module

import numpy as np
from PIL import Image

FILTERS = {"nearest": "NEAREST", "linear": "BILINEAR", "cubic": "BICUBIC", "area": "BOX", "lanczos": "LANCZOS"}
CROPS = ("center", "letterbox", "stretch")


def input_size(contract):
    """Height and width of the network's input; ``image_size`` is one number for a square."""
    size = contract["image_size"]
    return (size, size) if isinstance(size, int) else tuple(size)


def resized_size(contract, width, height):
    """Width and height of all of an upright picture once it is resized."""
    high, wide = input_size(contract)
    if contract.get("crop") == "stretch":
        return wide, high
    if contract.get("crop") == "letterbox":
        scale = min(wide / width, high / height)
        return max(1, round(width * scale)), max(1, round(height * scale))
    short, resize = min(high, wide), contract["resize_size"]
    scale = max(resize * wide / short / width, resize * high / short / height)
    return round(width * scale), round(height * scale)


def shrink_factor(contract, width, height):
    """By which a JPEG's decoder may shrink a picture of this upright size: there are pixels enough left."""
    across, down = resized_size(contract, width, height)
    return next((n for n in contract["jpeg_reductions"] if width >= n * across and height >= n * down), 1)


def fit(canvas, contract, width, height, shrink):
    """Uint8 ``[height, width, 3]`` of an RGB picture that its decoder has shrunk; float32 of a list of channels."""
    (high, wide), (across, down) = input_size(contract), resized_size(contract, width, height)
    box, is_crop = (0, 0, width, height), contract.get("crop", "center") == "center"
    left, top = ((across - wide) // 2, (down - high) // 2) if is_crop else ((wide - across) // 2, (high - down) // 2)
    if contract.get("resampling") == "opencv":  # resizes all of it, as the original did
        number = list(FILTERS).index(contract["interpolation"])  # FILTERS are in the order of its numbers
        pixels = import_module("cv2").resize(np.asarray(canvas), (across, down), interpolation=number)
        if is_crop:
            return pixels[top : top + high, left : left + wide]
    else:
        if is_crop:
            x, y = width / across, height / down
            box, across, down = (left * x, top * y, (left + wide) * x, (top + high) * y), wide, high
        filter, box = Image.Resampling[FILTERS[contract["interpolation"]]], [edge / shrink for edge in box]
        parts = [
            np.asarray(one.resize((across, down), filter, box=box))
            for one in (canvas if isinstance(canvas, list) else [canvas])
        ]
        pixels = np.clip(np.stack(parts, axis=-1), 0, 255) if isinstance(canvas, list) else parts[0]
    if (down, across) == (high, wide):
        return pixels
    bars = [min(max(round(255 * value), 0), 255) for value in contract["mean"]]
    whole = np.full((high, wide, len(bars)), bars, pixels.dtype)
    whole[top : top + down, left : left + across] = pixels
    return whole
