"""Which figures there are, and which of two is better."""

import math

import pytest

from imgcls.functional.monitoring import best_row, direction, is_better, metric_names, telling


def test_an_accuracy_that_cannot_be_wrong_is_no_figure():
    assert telling((1, 5), 4) == telling((1, 5), 5) == (1,)
    assert telling((1, 5), 6) == telling((1, 5), None) == (1, 5)
    assert metric_names((1, 5), 4, ("", "ema")) == ["loss", "top1", "loss_ema", "top1_ema"]
    assert metric_names((1, 5), 1) == ["loss"]


@pytest.mark.parametrize(
    ("metric", "mode", "expected"),
    [
        ("loss", "auto", "min"),
        ("loss_ema", "auto", "min"),
        ("calibration_error", "auto", "min"),
        ("top1", "auto", "max"),
        ("top5_ema", "auto", "max"),
        ("f1", "auto", "max"),
        ("f1_gloss", "auto", "max"),
        ("f1_error_ema", "auto", "max"),
        ("ap_floss", "auto", "max"),
        ("f1", "min", "min"),
        ("loss", "max", "max"),
    ],
)
def test_the_direction_follows_the_metric_or_is_set(metric, mode, expected):
    assert direction(metric, mode) == expected


def test_what_is_no_number_is_never_better_and_never_in_the_way():
    for way in ("min", "max"):
        assert is_better(0.5, None, way)
        assert not is_better(math.nan, None, way)
        assert not is_better(math.nan, 0.5, way)
        assert not is_better(0.5, 0.5, way)
    assert is_better(0.4, 0.5, "min")
    assert is_better(0.6, 0.5, "max")


def test_the_best_row_is_the_first_of_the_best():
    rows = [{"epoch": 1}, {"epoch": 2, "x": math.nan}, {"epoch": 3, "x": 0}, {"epoch": 4, "x": 2}, {"epoch": 5, "x": 0}]
    assert best_row(rows, "x", "min")["epoch"] == 3
    assert best_row(rows, "x", "max")["epoch"] == 4
    assert best_row(rows, "y", "max") is None
