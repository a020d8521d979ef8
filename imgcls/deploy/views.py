"""Answers averaged over several views of an image: test-time augmentation."""

import numpy as np

from imgcls.deploy.predictor import Predictor

LEAST = 1e-30
"""A probability below it is taken for it, so that it has a logarithm."""

FIVE = 5


class SeveralViews(Predictor):
    """The mean of another predictor's probabilities, or features, over the views of an image.

    Args:
        predictor: what answers for one view.
        kind: one of ``TEST_TIME_AUGMENTATIONS``. For ``five`` the images come as ``FiveCrops`` gives them, uint8
            ``[N, 5 * height, width, 3]``.
    """

    def __init__(self, predictor: Predictor, kind: str):
        self.predictor = predictor
        self.kind = kind
        self.activation = predictor.activation

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Those that have the mean probabilities."""
        mean = self.probabilities(images)
        if self.activation == "softmax":
            return np.log(np.maximum(mean, LEAST))
        return np.log(np.maximum(mean, LEAST)) - np.log(np.maximum(1 - mean, LEAST))

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return np.mean([self.predictor.probabilities(view) for view in views(images, self.kind)], axis=0)

    def features(self, images: np.ndarray) -> np.ndarray:
        return np.mean([self.predictor.features(view) for view in views(images, self.kind)], axis=0)


def views(images: np.ndarray, kind: str) -> list[np.ndarray]:
    """The views of each image, uint8 ``[N, height, width, 3]``, one after the other."""
    if kind == "flip":
        return [images, np.ascontiguousarray(images[:, :, ::-1])]
    apart = images.reshape(len(images), FIVE, -1, *images.shape[2:])
    return [np.ascontiguousarray(apart[:, number]) for number in range(FIVE)]
