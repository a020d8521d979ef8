"""Features of a data set in place of its images, computed once: what a head is trained on."""

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.data.loading.dataset import ClassificationDataset
from imgcls.data.paths import printable
from imgcls.data.pictures.decode import BadImage


class FeatureDataset(ClassificationDataset):
    """Feature maps of labelled images, one of several views of each.

    Args:
        features: float32 ``[views, N, C, h, w]``; NaN where an image could not be read. Epoch ``e`` has view
            ``e`` modulo their number.
    """

    def __init__(self, samples: Samples, features: np.ndarray):
        super().__init__(samples)
        self.features = features

    def image(self, epoch: int, index: int) -> np.ndarray:
        """Its features, float32 ``[C, h, w]``."""
        found = self.features[epoch % len(self.features), index]
        if np.isnan(found.flat[0]):
            raise BadImage(f"{printable(self.samples.path(index))} could not be read when features were computed")
        return found
