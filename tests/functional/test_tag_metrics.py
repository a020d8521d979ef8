"""Figures of images with several classes each, against scikit-learn and by search."""

import numpy as np
import pytest

from imgcls.functional.tag_metrics import TagCounts, average_precision, best_thresholds, mean_average_precision


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    targets = rng.random((60, 5)) < [0.5, 0.2, 0.05, 0.0, 0.9]
    scores = np.round(np.clip(rng.normal(0.4, 0.2, (60, 5)) + 0.2 * targets, 0, 1), 2)  # with equal ones among them
    return scores, targets


def test_average_precision_is_scikit_learns(answers):
    peer = pytest.importorskip("sklearn.metrics")
    scores, targets = answers
    found = average_precision(scores, targets)
    assert np.isnan(found[3])
    for number in (0, 1, 2, 4):
        assert found[number] == pytest.approx(peer.average_precision_score(targets[:, number], scores[:, number]))
    assert mean_average_precision(scores, targets) == pytest.approx(np.nanmean(found))


def test_f1_is_scikit_learns(answers):
    peer = pytest.importorskip("sklearn.metrics")
    scores, targets = answers
    counts, taken = TagCounts.of(scores, targets, 0.5), scores >= 0.5
    assert counts.micro_f1() == pytest.approx(peer.f1_score(targets, taken, average="micro"))
    assert counts.f1()[0] == pytest.approx(peer.f1_score(targets[:, 0], taken[:, 0]))
    assert counts.precision()[1] == pytest.approx(peer.precision_score(targets[:, 1], taken[:, 1]))
    assert counts.recall()[1] == pytest.approx(peer.recall_score(targets[:, 1], taken[:, 1]))


def test_no_other_threshold_has_a_higher_f1(answers):
    scores, targets = answers
    chosen = best_thresholds(scores, targets)
    assert chosen[3] == 0.5
    reached = TagCounts.of(scores, targets, chosen).f1()
    for level in np.linspace(0, 1, 401):
        assert np.all(np.nan_to_num(TagCounts.of(scores, targets, level).f1()) <= np.nan_to_num(reached) + 1e-12)


def test_a_class_that_is_known_apart_is_divided_half_way():
    scores = np.array([[0.9], [0.7], [0.3], [0.1]])
    assert best_thresholds(scores, np.array([[1], [1], [0], [0]])) == pytest.approx([0.5])
    assert best_thresholds(scores, np.array([[1], [0], [0], [0]])) == pytest.approx([0.8])
    assert average_precision(scores, np.array([[1], [1], [0], [0]])) == pytest.approx([1.0])


def test_a_broken_network_finds_nothing():
    assert average_precision(np.full((3, 1), np.nan), np.ones((3, 1))) == [0.0]
