"""Metrics against plain loops and against the accuracies of the original."""

import json
import warnings

import numpy as np
import paddle
import pytest
from locations import REFERENCE

from imgcls.functional.metrics import (
    ClassCounts,
    ConfusionMatrix,
    class_counts,
    expected_calibration_error,
    topk_correct,
)

LOSSES = json.loads((REFERENCE / "losses.json").read_text())


def test_topk_equals_the_accuracies_of_the_original():
    logits, labels = paddle.to_tensor(LOSSES["logits"]), paddle.to_tensor(LOSSES["label"])
    case = LOSSES["cases"]["cross_entropy"]
    assert (topk_correct(logits, labels, (1, 5)) / len(labels)).tolist() == [case["acc_top1"], case["acc_top5"]]


@pytest.mark.parametrize("values", ["distinct", "tied"])
def test_topk_equals_a_stable_sort(values):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 12)) if values == "distinct" else rng.integers(0, 3, (200, 12))
    logits, labels = logits.astype("float32"), rng.integers(0, 12, 200)
    ks = (1, 2, 5, 12)
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = [sum(label in row[:k] for row, label in zip(order, labels, strict=True)) for k in ks]
    counts = topk_correct(paddle.to_tensor(logits), paddle.to_tensor(labels), ks)
    assert counts.dtype == paddle.int64
    assert counts.tolist() == expected


def test_k_is_capped_at_the_number_of_classes():
    logits = paddle.randn([7, 3])
    assert topk_correct(logits, paddle.zeros([7], "int64"), (5,)).tolist() == [7]


def test_equal_logits_are_one_hit_not_many():
    labels = paddle.arange(10)
    assert topk_correct(paddle.zeros([10, 10]), labels, (1, 5)).tolist() == [1, 5]


def test_a_network_of_nans_is_right_about_nothing():
    logits = paddle.full([4, 10], float("nan"))
    assert topk_correct(logits, paddle.to_tensor([0, 3, 5, 9]), (1, 5)).tolist() == [0, 0]
    logits = paddle.to_tensor([[0.0, float("nan"), 2.0]])
    assert topk_correct(logits, paddle.to_tensor([2]), (1, 2)).tolist() == [0, 1]


def test_infinite_logits_rank_as_numbers():
    logits = paddle.to_tensor([[float("inf"), 1.0, -float("inf")]])
    assert [topk_correct(logits, paddle.to_tensor([c]), (1, 2, 3)).tolist() for c in range(3)] == [
        [1, 1, 1],
        [0, 1, 1],
        [0, 0, 1],
    ]


def test_topk_takes_low_precision():
    logits = paddle.to_tensor([[0.1, 0.9], [0.9, 0.1]]).astype("bfloat16")
    assert topk_correct(logits, paddle.to_tensor([1, 1]), (1,)).tolist() == [1]


def confusion() -> ConfusionMatrix:
    """Class 0: 3 of 4 right; class 1: 1 of 2; class 2 has no images; class 3: 0 of 1."""
    matrix = ConfusionMatrix(4)
    matrix.update(np.array([0, 0, 0]), np.array([0, 0, 3]))
    matrix.update(paddle.to_tensor([0, 1, 1, 3]), paddle.to_tensor([0, 1, 3, 0]))
    return matrix


def test_confusion_counts_true_rows_and_predicted_columns():
    matrix = confusion()
    assert matrix.counts.tolist() == [[3, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert matrix.counts.dtype == np.int64
    assert matrix.accuracy() == pytest.approx(4 / 7)
    np.testing.assert_array_equal(matrix.per_class_accuracy(), [0.75, 0.5, np.nan, 0])
    np.testing.assert_array_equal(matrix.per_class_precision(), [0.75, 1, np.nan, 0])
    assert matrix.mean_class_accuracy() == pytest.approx((0.75 + 0.5 + 0) / 3)
    assert matrix.most_confused() == [(0, 3, 1), (1, 3, 1), (3, 0, 1)]
    assert matrix.most_confused(limit=1) == [(0, 3, 1)]


def test_an_empty_confusion_matrix_has_no_numbers():
    matrix = ConfusionMatrix(3)
    assert np.isnan(matrix.accuracy())
    assert np.isnan(matrix.mean_class_accuracy())
    assert matrix.most_confused() == []


def test_confusion_refuses_a_class_it_does_not_have():
    with pytest.raises(IndexError):
        ConfusionMatrix(3).update(np.array([3]), np.array([0]))


def test_calibration_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(5, 0.5), 500)
    labels = rng.integers(0, 5, 500)
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (probabilities.max(1) > low) & (probabilities.max(1) <= low + 1 / 15)
        if inside.any():
            right = (probabilities[inside].argmax(1) == labels[inside]).mean()
            expected += inside.mean() * abs(right - probabilities[inside].max(1).mean())
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_calibration_of_known_cases():
    sure = np.eye(2)[[0, 0, 0, 0]]
    assert expected_calibration_error(sure, [0, 0, 0, 0]) == 0
    assert expected_calibration_error(sure, [0, 0, 0, 1]) == pytest.approx(0.25)
    assert expected_calibration_error(np.full((4, 2), 0.5), [0, 0, 1, 1]) == 0
    assert np.isnan(expected_calibration_error(np.zeros((0, 2)), []))


def test_figures_by_class_are_those_of_scikit_learn():
    peer = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 4, 60), rng.normal(size=(60, 6)).astype("float32")
    logits[:, 4] -= 9  # a class that is neither there nor predicted; class 5 is predicted alone
    counts = ClassCounts(*sum(class_counts(*map(paddle.to_tensor, part)) for part in halves(logits, labels)).numpy())
    predicted = logits.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class that is predicted and not there
        assert counts.balanced_accuracy() == pytest.approx(peer.balanced_accuracy_score(labels, predicted))
    assert counts.macro_f1() == pytest.approx(peer.f1_score(labels, predicted, average="macro"))
    names = list("abcdef")
    assert counts.figure("f1_b", names) == pytest.approx(peer.f1_score(labels, predicted, labels=[1], average="macro"))
    assert np.isnan(counts.figure("f1_e", names))
    matrix = ConfusionMatrix(6)
    matrix.update(labels, predicted)
    np.testing.assert_array_equal(matrix.class_counts(), counts)


def halves(*arrays):
    return (tuple(array[part] for array in arrays) for part in (slice(0, 25), slice(25, None)))


def test_a_broken_network_is_right_about_no_class():
    logits = paddle.to_tensor([[float("nan"), 0.0], [0.0, 1.0]])
    assert class_counts(logits, paddle.to_tensor([0, 1])).tolist() == [[1, 1], [0, 1], [0, 1]]
