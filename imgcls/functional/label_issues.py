"""Labels that are likely wrong: confident learning (arXiv:1911.00068) by cleanlab, on features; extra ``search``."""

import warnings
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

FOLDS = 5
SEED = 0
ITERATIONS = 500
STEPS = 200
"""Of the classifier's optimizer, about, for the estimate of the work."""

MOST_WORK = 1e14
"""Multiplications of all that is judged: about an hour."""

PACKAGE = "cleanlab"


class LabelIssue(NamedTuple):
    """A label that is likely wrong.

    Args:
        number: of the row.
        label: it has.
        suggested: the class it looks like.
        of_label: the probability of ``label``, by a classifier that has not seen the row.
        of_suggested: that of ``suggested``.
    """

    number: int
    label: int
    suggested: int
    of_label: float
    of_suggested: float


def is_available() -> bool:
    """Whether the package is there."""
    return find_spec(PACKAGE) is not None


def judged(labels: np.ndarray) -> np.ndarray:
    """Numbers of the rows that can be judged: labelled (0 and more), of a class with two or more, beside another."""
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    several = classes[counts >= 2]
    return np.flatnonzero(np.isin(labels, several)) if len(several) >= 2 else np.zeros(0, np.int64)


def is_too_much(labels: np.ndarray, width: int) -> bool:
    """Whether it would take hours for features of that width."""
    rows = judged(labels)
    return 2.0 * len(rows) * width * len(np.unique(labels[rows])) * FOLDS * STEPS > MOST_WORK


def label_issues(features: np.ndarray, labels: np.ndarray) -> list[LabelIssue]:
    """Labels that are likely wrong, the likeliest first.

    A logistic regression, trained on four fifths of the rows, gives the probabilities of the last fifth, five
    times; cleanlab compares them with the labels.

    Args:
        features: of length 1, float32 ``[N, D]``.
        labels: int ``[N]``, -1 where there is none.
    """
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rows = judged(labels)
    if not len(rows):
        return []
    classes, given = np.unique(labels[rows], return_inverse=True)
    folds = StratifiedKFold(min(FOLDS, int(np.bincount(given).max())), shuffle=True, random_state=SEED)
    classifier = LogisticRegression(max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer rows than there are folds
        scores = cross_val_predict(classifier, features[rows], given, cv=folds, method="predict_proba")
        order = find_label_issues(given, scores, return_indices_ranked_by="self_confidence", n_jobs=1)
    best = scores.argmax(axis=1)
    return [
        LabelIssue(
            int(rows[place]),
            int(classes[given[place]]),
            int(classes[best[place]]),
            float(scores[place, given[place]]),
            float(scores[place, best[place]]),
        )
        for place in order
        if best[place] != given[place]
    ]
