"""What is right of answers with several classes an image: average precision, F1, and thresholds chosen for it."""

from typing import NamedTuple

import numpy as np


def average_precision(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Area below the steps of precision over recall of each class, float64 ``[num_classes]``.

    ``sum_n (R_n - R_(n-1)) P_n`` over the distinct scores from the highest on, as scikit-learn has it.

    Args:
        scores: ``[N, num_classes]``.
        targets: bool or 0 and 1, ``[N, num_classes]``.

    Returns:
        nan for a class that no image has.
    """
    return np.array([_average_precision(*columns) for columns in zip(scores.T, targets.T, strict=True)], np.float64)


def mean_average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """Mean of ``average_precision`` over the classes that an image has; nan if there is none."""
    values = average_precision(scores, targets)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def best_thresholds(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """For each class the threshold with the highest F1, half way between the scores it divides; float64.

    A class that no image has, or that all have, keeps 0.5.
    """
    chosen = np.full(scores.shape[1], 0.5)
    for number, (own, wanted) in enumerate(zip(scores.T, targets.T, strict=True)):
        found = int(wanted.sum())
        if 0 < found < len(wanted):
            right, taken, values = _steps(own, wanted)
            best = int(np.argmax(2 * right / (taken + found)))
            below = values[best + 1] if best + 1 < len(values) else 0.0
            chosen[number] = (values[best] + below) / 2
    return chosen


class TagCounts(NamedTuple):
    """Images of each class, those taken for it, and those of it that were taken for it, each ``[num_classes]``."""

    true: np.ndarray
    predicted: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, targets: np.ndarray, thresholds: np.ndarray | float) -> "TagCounts":
        """Counts where a class is taken from its threshold on."""
        taken, wanted = scores >= thresholds, targets > 0.5
        return cls(wanted.sum(axis=0), taken.sum(axis=0), (taken & wanted).sum(axis=0))

    def precision(self) -> np.ndarray:
        """nan for a class that was never taken."""
        return _share(self.right, self.predicted)

    def recall(self) -> np.ndarray:
        """nan for a class that no image has."""
        return _share(self.right, self.true)

    def f1(self) -> np.ndarray:
        """nan for a class that no image has and that was never taken."""
        return _share(2 * self.right, self.true + self.predicted)

    def macro_f1(self) -> float:
        values = self.f1()
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")

    def micro_f1(self) -> float:
        """F1 over all pairs of image and class."""
        return float(_share(2 * self.right.sum(), self.true.sum() + self.predicted.sum()))


def _steps(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right ones, taken ones, and the score, for each distinct score as the threshold, the highest first."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # of each run of equal scores
    return np.cumsum(targets[order] > 0.5)[last], last + 1, ordered[last]


def _average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    if not len(targets) or not (targets > 0.5).any():
        return float("nan")
    if np.isnan(scores).any():
        return 0.0
    right, taken, _ = _steps(scores, targets)
    return float((np.diff(right, prepend=0) / right[-1] * right / taken).sum())


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.true_divide(part, whole)
