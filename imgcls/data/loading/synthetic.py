"""Made-up images: a pattern for each class under noise, for trying things without files."""

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.data.loading.dataset import ClassificationDataset
from imgcls.data.pictures.size import Size, sides

GRID = 4


class SyntheticDataset(ClassificationDataset):
    """Images that are a function of seed and index, and that a network can learn to tell apart.

    Each class has a coarse pattern of coloured squares; half of every pixel is that, half is noise.

    Args:
        size: of the images.
        channels: how many.
    """

    def __init__(self, samples: Samples, size: Size, seed: int = 0, channels: int = 3):
        super().__init__(samples)
        self.sides = sides(size)
        self.channels = channels
        self.image_shape = (*self.sides, channels)
        self.seed = seed

    def image(self, epoch: int, index: int) -> np.ndarray:
        noise = np.random.default_rng([self.seed, 0, index]).integers(0, 128, (*self.sides, self.channels), np.uint8)
        pattern = np.random.default_rng([self.seed, 1, self.samples.label(index)]).integers(
            0, 128, (GRID, GRID, self.channels), np.uint8
        )
        rows, columns = (np.arange(side) * GRID // side for side in self.sides)
        return noise + pattern[rows][:, columns]
