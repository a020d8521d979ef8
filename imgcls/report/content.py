"""What the page of an evaluation tells, as one object of plain values."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from imgcls.functional.metrics import ConfusionMatrix
from imgcls.machine.text import whole_characters
from imgcls.report.curves import Panel
from imgcls.report.mistakes import Mistake
from imgcls.report.reliability import Reliability

DIGITS = 6


def page_content(
    *,
    summary: dict[str, Any],
    class_names: Sequence[str],
    confusion: ConfusionMatrix,
    reliability: Reliability,
    panels: Sequence[Panel],
    mistakes: Sequence[Mistake],
) -> dict[str, Any]:
    """Everything the page's script reads; numbers that are not finite become ``None``.

    ``cells`` are the confusion matrix's entries above 0, as (true class, predicted class, count): of a
    thousand classes most pairs never occur.
    """
    true, predicted = np.nonzero(confusion.counts)
    return {
        "summary": summary,
        "names": [whole_characters(name) for name in class_names],
        "cells": np.stack([true, predicted, confusion.counts[true, predicted]], axis=1).tolist(),
        "classes": {
            "pictures": confusion.counts.sum(axis=1).tolist(),
            "accuracy": _numbers(confusion.per_class_accuracy()),
            "precision": _numbers(confusion.per_class_precision()),
            "f1": _numbers(confusion.class_counts().f1()),
        },
        "reliability": {
            "counts": reliability.counts.tolist(),
            "confidence": _numbers(reliability.confidence),
            "accuracy": _numbers(reliability.accuracy),
        },
        "panels": [{"title": panel.title, "curves": panel.curves} for panel in panels],
        "mistakes": [
            {
                "path": mistake.path,
                "label": mistake.label,
                "predicted": mistake.predicted,
                "scores": _numbers([mistake.score, mistake.score_of_label]),
                "picture": _base64(mistake.picture),
                "overlay": None if mistake.overlay is None else _base64(mistake.overlay),
            }
            for mistake in mistakes
        ],
    }


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [round(float(value), DIGITS) if np.isfinite(value) else None for value in values]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
