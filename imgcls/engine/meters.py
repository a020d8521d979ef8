"""What an evaluation adds up: sums over the data set that ranks can exchange."""

from collections.abc import Sequence

import numpy as np
import paddle

from imgcls.functional.losses import cross_entropy
from imgcls.functional.metrics import ClassCounts, class_counts, topk_correct


class EvaluationMeter:
    """Loss and top-k accuracy over a data set; sums stay on the device until somebody asks."""

    def __init__(self, topk: Sequence[int] = (1, 5)):
        self.topk = tuple(topk)
        self.loss = 0.0
        self.correct = np.zeros(len(self.topk), np.int64)
        self.samples = 0

    def update(self, logits: paddle.Tensor, labels: paddle.Tensor, indices: paddle.Tensor) -> None:
        self.loss = self.loss + cross_entropy(logits, labels).astype("float64") * labels.shape[0]
        self.correct = topk_correct(logits, labels, self.topk) + self.correct
        self.samples += labels.shape[0]

    def sums(self) -> np.ndarray:
        """Everything that adds up over the parts of a data set, float64."""
        return np.array([self.samples, float(self.loss), *np.asarray(self.correct)], np.float64)

    def replace_sums(self, sums: np.ndarray) -> None:
        """Take the sums over all parts in place of the own."""
        self.samples, self.loss, self.correct = int(sums[0]), float(sums[1]), sums[2:]

    def result(self) -> dict[str, float]:
        """``{"loss": ..., "top1": ..., "top5": ...}``, accuracies in 0 to 1."""
        correct = np.asarray(self.correct, dtype=np.float64) / self.samples
        accuracies = {f"top{k}": float(share) for k, share in zip(self.topk, correct, strict=True)}
        return {"loss": float(self.loss) / self.samples, **accuracies}


class PerClassMeter(EvaluationMeter):
    """An ``EvaluationMeter`` with figures that ask of each class how it is told from the others.

    Args:
        metrics: names of those wanted, see ``ClassCounts.figure``.
        class_names: in order of the label.
    """

    def __init__(self, topk: Sequence[int], metrics: Sequence[str], class_names: Sequence[str]):
        super().__init__(topk)
        self.metrics = tuple(metrics)
        self.class_names = tuple(class_names)
        self.counts = np.zeros((3, len(self.class_names)), np.int64)

    def update(self, logits: paddle.Tensor, labels: paddle.Tensor, indices: paddle.Tensor) -> None:
        super().update(logits, labels, indices)
        self.counts = class_counts(logits, labels) + self.counts

    def sums(self) -> np.ndarray:
        return np.concatenate([super().sums(), np.asarray(self.counts, np.float64).ravel()])

    def replace_sums(self, sums: np.ndarray) -> None:
        own = 3 * len(self.class_names)
        super().replace_sums(sums[:-own])
        self.counts = sums[-own:].reshape(3, -1)

    def result(self) -> dict[str, float]:
        counts = ClassCounts(*np.asarray(self.counts, np.float64))
        return {**super().result(), **{name: counts.figure(name, self.class_names) for name in self.metrics}}
