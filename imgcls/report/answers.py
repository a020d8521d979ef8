"""What a network said to every picture of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import paddle
from paddle.nn import functional as F

from imgcls.engine.meters import EvaluationMeter
from imgcls.functional.metrics import ConfusionMatrix
from imgcls.functional.monitoring import telling


@dataclass(frozen=True, eq=False)
class Answers:
    """One entry for each picture, in the order they were seen.

    Args:
        indices: sample numbers, int64 ``[N]``.
        labels: int64 ``[N]``.
        probabilities: float32 ``[N, num_classes]``.
    """

    indices: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def predictions(self) -> np.ndarray:
        """The class of the highest probability, int64 ``[N]``."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def scores(self) -> np.ndarray:
        """The highest probability, ``[N]``."""
        return self.probabilities.max(axis=1)

    @cached_property
    def scores_of_labels(self) -> np.ndarray:
        """The probability of the true class, ``[N]``."""
        return self.probabilities[np.arange(len(self)), self.labels]

    @cached_property
    def right(self) -> np.ndarray:
        """bool ``[N]``."""
        return self.predictions == self.labels


class DetailedMeter(EvaluationMeter):
    """An ``EvaluationMeter`` that also keeps every picture's answer, and leaves out what cannot be wrong."""

    def __init__(self, num_classes: int, topk: Sequence[int] = (1, 5)):
        super().__init__(telling(topk, num_classes))
        self.confusion = ConfusionMatrix(num_classes)
        self.parts: list[tuple[np.ndarray, ...]] = []

    def update(self, logits: paddle.Tensor, labels: paddle.Tensor, indices: paddle.Tensor) -> None:
        super().update(logits, labels, indices)
        probabilities = F.softmax(logits, axis=1).numpy()
        labels, indices = labels.numpy(), indices.numpy()
        self.confusion.update(labels, probabilities.argmax(axis=1))
        self.parts.append((indices, labels, probabilities))

    def answers(self) -> Answers:
        return Answers(*(np.concatenate(part) for part in zip(*self.parts, strict=True)))
