"""Pictures for a page: small JPEGs, and heat maps laid over them."""

import io

import numpy as np
from PIL import Image

from imgcls.data.pictures.channels import as_rgb

THUMBNAIL_SIDE = 192
QUALITY = 82
OPACITY = 0.7


def jpeg(image: np.ndarray) -> bytes:
    """An image ``[H, W, channels]`` as JPEG; larger ones scaled down to fit a square of ``THUMBNAIL_SIDE``."""
    picture = Image.fromarray(as_rgb(image))
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def heat_overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture in grey under the colours of a heat map, the more the warmer.

    Args:
        image: ``[H, W, channels]``, values from 0 to 255.
        heat: float32 ``[h, w]`` in 0 to 1, spread over the whole image.

    Returns:
        uint8 ``[H, W, 3]``.
    """
    from matplotlib import colormaps

    height, width = image.shape[:2]
    spread = Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(spread), 0, 1)
    grey = np.asarray(Image.fromarray(as_rgb(image)).convert("L"), np.float32)[..., None]
    colours = colormaps["turbo"](heat)[..., :3] * 255
    share = OPACITY * np.sqrt(heat)[..., None]
    return np.round(grey * (1 - share) + colours * share).astype(np.uint8)
