"""Random erasing: rectangles of a batch's images replaced, on the device the images are on."""

from collections.abc import Sequence

import numpy as np
import paddle


def random_rectangles(
    count: int,
    height: int,
    width: int,
    area: Sequence[float],
    ratio: Sequence[float],
    probability: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """A rectangle for each image, of random area, shape and place (arXiv:1708.04896, algorithm 1).

    The area is bounded so that a rectangle of the drawn shape always fits; nothing is tried again.

    Args:
        count: images of ``height`` by ``width`` pixels.
        area: smallest and largest share of an image.
        ratio: smallest and largest height over width; a shape and that shape on its side are as likely.
        probability: that an image gets one.

    Returns:
        int64 ``[count, 4]``: top, left, bottom, right; all 0 for none.
    """
    chosen = rng.random(count) < probability
    aspect = np.exp(rng.uniform(*np.log(ratio), count))
    bound = np.minimum(height / width / aspect, width / height * aspect)
    share = rng.uniform(np.minimum(area[0], bound), np.minimum(area[1], bound))
    pixels = share * height * width
    rows = np.clip(np.round(np.sqrt(pixels * aspect)), 1, height).astype(np.int64)
    columns = np.clip(np.round(np.sqrt(pixels / aspect)), 1, width).astype(np.int64)
    top = rng.integers(0, height - rows, endpoint=True)
    left = rng.integers(0, width - columns, endpoint=True)
    return np.stack([top, left, top + rows, left + columns], axis=1) * chosen[:, None]


@paddle.no_grad()
def erase(images: paddle.Tensor, rectangles: np.ndarray, fill: paddle.Tensor) -> paddle.Tensor:
    """Show ``fill`` inside each image's rectangle.

    Args:
        images: ``[N, C, H, W]``.
        rectangles: int64 ``[N, 4]``: top, left, bottom, right.
        fill: ``[1, C, H, W]`` of the images' type.
    """
    height, width = images.shape[2:]
    top, left, bottom, right = paddle.to_tensor(rectangles.T, place=images.place).reshape([4, -1, 1, 1, 1])
    rows = paddle.arange(height).reshape([1, 1, height, 1])
    columns = paddle.arange(width).reshape([1, 1, 1, width])
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return paddle.where(inside.expand_as(images), fill.expand_as(images), images)
