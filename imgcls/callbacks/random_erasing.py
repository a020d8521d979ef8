"""Random erasing as a callback: covers a rectangle of some training images, on the device."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import paddle

from imgcls.engine.callback import Callback
from imgcls.engine.rng import generator_of
from imgcls.functional.erasing import erase, random_rectangles


class RandomErasing(Callback):
    """The result does not depend on the number of ranks (arXiv:1708.04896).

    Args:
        probability: that an image is erased.
        area: smallest and largest share of the image that is covered.
        ratio: smallest and largest height over width of the rectangle.
        fill: ``noise``, or ``mean`` for the mean colour of the normalisation. The noise is drawn once
            a batch, the size of an image, and each rectangle shows its part of it.
    """

    def __init__(
        self,
        probability: float,
        area: Sequence[float],
        ratio: Sequence[float],
        fill: str,
    ):
        super().__init__()
        self.probability = probability
        self.area = tuple(area)
        self.ratio = tuple(ratio)
        self.fill = fill

    def on_batch(self, batch):
        rng = generator_of(self)
        images = batch.images
        shape = images.shape[1:]
        rectangles = random_rectangles(batch.global_size, *shape[1:], self.area, self.ratio, self.probability, rng)
        own = rectangles[min(batch.rank, batch.global_size - 1) :: batch.ranks]
        if not own.any():
            return batch
        noise = rng.standard_normal(shape, np.float32) if self.fill == "noise" else np.zeros(shape, np.float32)
        fill = paddle.to_tensor(noise, place=images.place).astype(images.dtype).unsqueeze(0)
        return replace(batch, images=erase(images, own, fill))
