"""Made-up images: a pattern for each class under noise, for trying things without files."""

import numpy as np

from imgcls.data.class_names import default_class_names
from imgcls.data.dataset import ClassificationDataset
from imgcls.data.samples import Samples

GRID = 4


def synthetic_samples(num_samples: int, num_classes: int) -> Samples:
    """Samples without files, their labels 0, 1, 2, ... in turn."""
    name = b"synthetic"
    starts = np.zeros(num_samples, np.int64)
    labels = (np.arange(num_samples) % num_classes).astype(np.int32)
    return Samples("", name, starts, starts + len(name), labels, default_class_names(num_classes))


class SyntheticDataset(ClassificationDataset):
    """Images that are a function of seed and index, and that a network can learn to tell apart.

    Each class has a coarse pattern of coloured squares; half of every pixel is that, half is noise.

    Args:
        size: side of the square images.
    """

    def __init__(self, samples: Samples, size: int, seed: int = 0):
        super().__init__(samples)
        self.size = size
        self.image_shape = (size, size, 3)
        self.seed = seed

    def image(self, epoch: int, index: int) -> np.ndarray:
        noise = np.random.default_rng([self.seed, 0, index]).integers(0, 128, (self.size, self.size, 3), np.uint8)
        pattern = np.random.default_rng([self.seed, 1, self.samples.label(index)]).integers(
            0, 128, (GRID, GRID, 3), np.uint8
        )
        square = np.arange(self.size) * GRID // self.size
        return noise + pattern[square][:, square]
