"""Answers averaged over several views of an image: test-time augmentation."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from imgcls.data.pictures.whole import unpack
from imgcls.deploy.predictor import Predictor

LEAST = 1e-30
"""A probability below it is taken for it, so that it has a logarithm."""

FIVE = 5

Ask = Callable[[np.ndarray], np.ndarray]
"""From images ``[N, height, width, channels]`` to a row for each."""


def views_of(kind: str | None) -> dict[str, bool]:
    """What ``Preprocessing.transform`` is told for the images of a kind of ``TEST_TIME_AUGMENTATIONS``."""
    return {name: kind == name for name in ("five", "whole")}


class SeveralViews(Predictor):
    """The mean of another predictor's probabilities, or features, over the views of an image.

    Args:
        predictor: what answers for one view.
        kind: one of ``TEST_TIME_AUGMENTATIONS``. For ``five`` the images come as ``FiveCrops`` gives them, uint8
            ``[N, 5 * height, width, 3]``, for ``whole`` as ``Whole`` does.

    Raises:
        UserError: ``whole`` of a predictor that takes one size alone.
    """

    def __init__(self, predictor: Predictor, kind: str):
        self.predictor = predictor
        self.kind = kind
        if kind == "whole":
            predictor.require_any_size("tta=whole")
        self.activation = predictor.activation

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Those that have the mean probabilities."""
        mean = self.probabilities(images)
        if self.activation == "softmax":
            return np.log(np.maximum(mean, LEAST))
        return np.log(np.maximum(mean, LEAST)) - np.log(np.maximum(1 - mean, LEAST))

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return self._answers(self.predictor.probabilities, images)

    def features(self, images: np.ndarray) -> np.ndarray:
        return self._answers(self.predictor.features, images)

    def _answers(self, ask: Ask, images: np.ndarray) -> np.ndarray:
        if self.kind == "whole":
            return answers_of_wholes(ask, images)
        return np.mean([ask(view) for view in views(images, self.kind)], axis=0)


def answers_of_wholes(ask: Ask, images: np.ndarray) -> np.ndarray:
    """Answers for packed images, of which those of one shape are asked for together."""
    parts = [unpack(image) for image in images]
    of_shape = defaultdict(list)
    for number, part in enumerate(parts):
        of_shape[part.shape].append(number)
    rows: dict[int, np.ndarray] = {}
    for numbers in of_shape.values():
        rows |= zip(numbers, ask(np.stack([parts[number] for number in numbers])), strict=True)
    return np.stack([rows[number] for number in range(len(parts))])


def views(images: np.ndarray, kind: str) -> list[np.ndarray]:
    """The views of each image, uint8 ``[N, height, width, 3]``, one after the other."""
    if kind == "flip":
        return [images, np.ascontiguousarray(images[:, :, ::-1])]
    apart = images.reshape(len(images), FIVE, -1, *images.shape[2:])
    return [np.ascontiguousarray(apart[:, number]) for number in range(FIVE)]
