"""Whether a network is right as often as it is sure: accuracy by confidence (arXiv:1706.04599, section 2)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Reliability:
    """Pictures in intervals of confidence of equal width, each closed above, as those of the calibration error.

    Args:
        counts: pictures in each interval, int64 ``[bins]``.
        confidence: their mean confidence, ``[bins]``; nan in an empty interval.
        accuracy: the share of them that is right, ``[bins]``; likewise.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(scores: np.ndarray, right: np.ndarray, bins: int = 15) -> Reliability:
    """Sort answers by confidence.

    Args:
        scores: the highest probability of each picture, ``[N]``; those that are no numbers are left out.
        right: whether it belongs to the true class, bool ``[N]``.
        bins: number of intervals.
    """
    scores, right = np.asarray(scores, np.float64), np.asarray(right, bool)
    known = np.isfinite(scores)
    scores, right = scores[known], right[known]
    interval = np.clip(np.ceil(scores * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(interval, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(interval, weights=scores, minlength=bins) / counts
        accuracy = np.bincount(interval, weights=right, minlength=bins) / counts
    return Reliability(counts, confidence, accuracy)
