"""Which figures an evaluation gives, which of them can tell networks apart, and in which direction each is better."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MODES = ("auto", "min", "max")
FALLING = ("loss", "error")
"""What the name of a figure contains that is better when it is lower."""


def telling(topk: Iterable[int], num_classes: int | None) -> tuple[int, ...]:
    """Those of the ``k`` of top-k accuracies that can be wrong; all of them while the class count is unknown."""
    return tuple(k for k in topk if num_classes is None or k < num_classes)


def metric_names(topk: Iterable[int], num_classes: int | None, views: Sequence[str] = ("",)) -> list[str]:
    """Names of what an evaluation gives: ``loss``, ``top1``, ... and ``top1_ema``, ... for a weight view ``ema``."""
    names = ["loss", *(f"top{k}" for k in telling(topk, num_classes))]
    return [f"{name}_{view}" if view else name for view in views for name in names]


def direction(metric: str, mode: str = "auto") -> str:
    """``min`` or ``max``: losses and errors are better when they are lower, everything else when it is higher."""
    if mode != "auto":
        return mode
    return "min" if any(word in metric for word in FALLING) else "max"


def is_better(value: float, best: float | None, direction: str) -> bool:
    """Whether a value beats the best so far, ``None`` for none; one that is no number never does."""
    if math.isnan(value):
        return False
    return best is None or (value < best if direction == "min" else value > best)


def best_row(rows: Iterable[Mapping[str, Any]], name: str, direction: str) -> Mapping[str, Any] | None:
    """The first of the rows with the best value under ``name``; ``None`` where no row has a number there."""
    best = None
    for row in rows:
        value = row.get(name)
        if value is not None and is_better(value, best and best[name], direction):
            best = row
    return best
