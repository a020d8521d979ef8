"""Wrong labels are found among right ones, by classifiers that have not seen the row."""

import numpy as np
import pytest

from imgcls.functional.label_issues import is_too_much, judged, label_issues
from imgcls.functional.neighbours import unit


def test_what_was_exchanged_is_found_and_its_class_suggested():
    pytest.importorskip("cleanlab")
    rng = np.random.default_rng(0)
    right = np.repeat(np.arange(4), 25)
    features = unit(np.eye(16)[right] + 0.12 * rng.standard_normal((100, 16)))
    labels = right.copy()
    wrong = [3, 40, 41, 77]
    labels[wrong] = (labels[wrong] + 1) % 4
    labels[99] = -1
    found = label_issues(features, labels)
    assert sorted(one.number for one in found) == wrong
    for one in found:
        assert (one.label, one.suggested) == (labels[one.number], right[one.number])
        assert one.of_label < 0.5 < one.of_suggested
    scores = [one.of_label for one in found]
    assert scores == sorted(scores), "the likeliest first"
    assert label_issues(features, labels) == found, "the same again"


def test_small_classes_are_left_out():
    labels = np.array([0, 0, 1, 2, 2, -1, 2, -1])
    assert judged(labels).tolist() == [0, 1, 3, 4, 6]
    assert judged(np.array([0, 0, 0, 1])).tolist() == []
    assert judged(np.full(5, -1)).tolist() == []


def test_hours_of_work_are_known_before():
    assert not is_too_much(np.arange(10_000) % 10, 2048)
    assert is_too_much(np.arange(1_000_000) % 1000, 2048)
