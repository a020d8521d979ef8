"""What a classifier got right: top-k counts, confusion matrix, per-class figures, calibration."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import paddle

from imgcls.functional.monitoring import F1_OF


@paddle.no_grad()
def topk_correct(logits: paddle.Tensor, labels: paddle.Tensor, ks: Sequence[int] = (1, 5)) -> paddle.Tensor:
    """How many labels are among the ``k`` highest logits, for each ``k``.

    Of equal logits the lower class index ranks first; a logit that is not a number ranks before
    all others, so a broken network is not taken for a right one. Nothing waits for the device.

    Args:
        logits: ``[N, num_classes]``, or probabilities.
        labels: int64 ``[N]``.
        ks: each is capped at ``num_classes``.

    Returns:
        int64 ``[len(ks)]``, on the device.
    """
    num_classes = logits.shape[1]
    logits = logits.astype("float32")
    labels = labels.unsqueeze(1)
    of_label = paddle.take_along_axis(logits, labels, axis=1)
    behind = (logits < of_label) | ((logits == of_label) & (paddle.arange(num_classes) > labels))
    rank = num_classes - 1 - behind.astype("int64").sum(axis=1)
    return paddle.stack([(rank < min(k, num_classes)).sum() for k in ks])


@paddle.no_grad()
def class_counts(logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
    """How many images of each class there are, were taken for it, and both; int64 ``[3, num_classes]``.

    What has a logit that is not a number is never taken for its class. Nothing waits for the device.

    Args:
        logits: ``[N, num_classes]``.
        labels: int64 ``[N]``.
    """
    num_classes = logits.shape[1]
    known = paddle.isfinite(logits.astype("float32").sum(axis=1)).astype("float32").unsqueeze(1)
    true = paddle.nn.functional.one_hot(labels, num_classes)
    predicted = paddle.nn.functional.one_hot(logits.argmax(axis=1), num_classes) * known
    return paddle.stack([true.sum(axis=0), predicted.sum(axis=0), (true * predicted).sum(axis=0)]).astype("int64")


class ClassCounts(NamedTuple):
    """Images of each class, those taken for it, and those of it that were taken for it, each ``[num_classes]``."""

    true: np.ndarray
    predicted: np.ndarray
    right: np.ndarray

    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall of each class; nan for one without images, taken for none."""
        return _share(2 * self.right, self.true + self.predicted)

    def macro_f1(self) -> float:
        """Mean of ``f1`` over the classes that have images or were predicted."""
        return _mean(self.f1())

    def balanced_accuracy(self) -> float:
        """Mean over the classes that have images of the share of them predicted right."""
        return _mean(_share(self.right, self.true))

    def figure(self, name: str, class_names: Sequence[str]) -> float:
        """``balanced_accuracy`` (``mean_class_accuracy`` is another word for it), ``macro_f1`` or ``f1_<class>``."""
        if name == "macro_f1":
            return self.macro_f1()
        if name.startswith(F1_OF):
            return float(self.f1()[list(class_names).index(name.removeprefix(F1_OF))])
        return self.balanced_accuracy()


class ConfusionMatrix:
    """Counts of (true class, predicted class), int64 ``[num_classes, num_classes]`` in ``counts``.

    Those of several processes or parts of a data set simply add up.
    """

    def __init__(self, num_classes: int):
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Count one batch of class indices, each int ``[N]``."""
        np.add.at(self.counts, (np.asarray(labels), np.asarray(predictions)), 1)

    def accuracy(self) -> float:
        """Share of images predicted right; not a number before the first."""
        return _share(np.trace(self.counts), self.counts.sum())

    def per_class_accuracy(self) -> np.ndarray:
        """Share predicted right of each true class (recall), ``[num_classes]``; nan for a class without images."""
        return _share(np.diag(self.counts), self.counts.sum(axis=1))

    def per_class_precision(self) -> np.ndarray:
        """Share truly of the class among those predicted as it, ``[num_classes]``; nan for one never predicted."""
        return _share(np.diag(self.counts), self.counts.sum(axis=0))

    def class_counts(self) -> ClassCounts:
        return ClassCounts(self.counts.sum(axis=1), self.counts.sum(axis=0), np.diag(self.counts))

    def mean_class_accuracy(self) -> float:
        """Mean of ``per_class_accuracy`` over the classes that have images."""
        return self.class_counts().balanced_accuracy()

    def most_confused(self, limit: int = 10) -> list[tuple[int, int, int]]:
        """The commonest mistakes as (true class, predicted class, count), most first, ties by class index."""
        mistakes = self.counts - np.diag(np.diag(self.counts))
        order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
        rows, columns = np.unravel_index(order, mistakes.shape)
        pairs = zip(rows.tolist(), columns.tolist(), mistakes[rows, columns].tolist(), strict=True)
        return [(true, predicted, count) for true, predicted, count in pairs if count]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """How far confidence and accuracy are apart on average, 0 to 1 (arXiv:1706.04599, section 2).

    Args:
        probabilities: ``[N, num_classes]``, rows that sum to 1.
        labels: int ``[N]``.
        bins: number of confidence intervals of equal width, each closed above.
    """
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if len(labels) == 0:
        return float("nan")
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.true_divide(part, whole)


def _mean(values: np.ndarray) -> float:
    """Of those that are numbers; nan if none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
