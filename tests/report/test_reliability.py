"""Accuracy by confidence against plain loops and the calibration error."""

import numpy as np
import pytest

from imgcls.functional.metrics import expected_calibration_error
from imgcls.report.reliability import reliability


def answers(pictures: int, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(classes, 0.3), pictures)
    return probabilities, rng.integers(0, classes, pictures)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_intervals_equal_a_loop(bins):
    probabilities, labels = answers(300)
    scores, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    result = reliability(scores, right, bins)
    assert result.counts.sum() == 300
    for number in range(bins):
        inside = (scores > number / bins) & (scores <= (number + 1) / bins)
        assert result.counts[number] == inside.sum()
        if inside.any():
            assert result.confidence[number] == pytest.approx(scores[inside].mean())
            assert result.accuracy[number] == pytest.approx(right[inside].mean())
        else:
            assert np.isnan(result.confidence[number])
            assert np.isnan(result.accuracy[number])


def test_the_gaps_are_the_calibration_error():
    """The same intervals, borders included: the diagram shows what the number says."""
    probabilities, labels = answers(500)
    probabilities[:16] = 0
    probabilities[:16, 0] = np.arange(16) / 15
    probabilities[:16, 1:] = (1 - np.arange(16)[:, None] / 15) / 5
    result = reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    filled = result.counts > 0
    gaps = np.abs(result.accuracy - result.confidence)[filled] @ result.counts[filled]
    assert gaps / 500 == pytest.approx(expected_calibration_error(probabilities, labels), rel=1e-9)


def test_no_pictures_and_no_numbers():
    assert reliability(np.zeros(0), np.zeros(0, bool)).counts.tolist() == [0] * 15
    assert reliability(np.array([np.nan, 0.5]), np.array([True, True])).counts.sum() == 1
