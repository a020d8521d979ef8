"""Which figures an evaluation gives, which of them can tell networks apart, and in which direction each is better."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MODES = ("auto", "min", "max")
FALLING = ("loss", "error")
"""What the name of a figure contains that is better when it is lower."""

CLASS_METRICS = ("balanced_accuracy", "macro_f1", "mean_class_accuracy")
"""Figures of an evaluation on request, every class counting alike."""

F1_OF = "f1_"
"""Of one class by its name: ``f1_cat``."""


def telling(topk: Iterable[int], num_classes: int | None) -> tuple[int, ...]:
    """Those of the ``k`` of top-k accuracies that can be wrong; all of them while the class count is unknown."""
    return tuple(k for k in topk if num_classes is None or k < num_classes)


def metric_names(
    topk: Iterable[int], num_classes: int | None, views: Sequence[str] = ("",), multi_label: bool = False
) -> list[str]:
    """Names of what an evaluation gives: ``loss``, ``top1``, ... and ``top1_ema``, ... for a weight view ``ema``."""
    names = ["loss", MEAN_AP] if multi_label else ["loss", *(f"top{k}" for k in telling(topk, num_classes))]
    return [f"{name}_{view}" if view else name for view in views for name in names]


TAG_METRICS = ("macro_f1", "micro_f1")
"""Figures on request of images with several classes each, under thresholds that were tuned on the same images."""

AP_OF = "ap_"
"""Average precision of one class by its name, likewise."""

MEAN_AP = "mAP"
"""What an evaluation of such images gives beside their loss."""


def is_accuracy(column: str) -> bool:
    """Whether a column of ``metrics.csv`` is a share in 0 to 1 of how well classes are told apart."""
    name = column.removeprefix("val_")
    return name.startswith(("top", F1_OF, AP_OF, MEAN_AP, *CLASS_METRICS, *TAG_METRICS))


def view_of(metric: str, views: Sequence[str]) -> tuple[str, str]:
    """A figure's name without the weight view that it ends in, and the view: ``("top1", "ema")``."""
    for view in views:
        if view and metric.endswith(f"_{view}"):
            return metric.removesuffix(f"_{view}"), view
    return metric, ""


def on_request(metric: str, class_names: Sequence[str] | None, multi_label: bool = False) -> bool:
    """Whether an evaluation gives that figure where it is asked for.

    Args:
        class_names: ``None`` while they are unknown: any class may be meant.
        multi_label: images have several classes each.
    """
    for of in (F1_OF, AP_OF) if multi_label else (F1_OF,):
        if metric.startswith(of):
            return class_names is None or metric.removeprefix(of) in class_names
    return metric in (TAG_METRICS if multi_label else CLASS_METRICS)


def requested(
    metrics: Iterable[str], monitor: str, class_names: Sequence[str], multi_label: bool = False
) -> tuple[str, ...]:
    """The figures on request that a run's evaluations give: those listed, and what decides which is best."""
    monitored = monitor if on_request(monitor, class_names, multi_label) else view_of(monitor, ("ema",))[0]
    names = dict.fromkeys([*metrics, monitored])
    return tuple(name for name in names if on_request(name, class_names, multi_label))


def direction(metric: str, mode: str = "auto") -> str:
    """``min`` or ``max``: losses and errors are better when they are lower, everything else when it is higher.

    ``f1_gloss`` is a share, whatever its class is called.
    """
    if mode != "auto":
        return mode
    falls = any(word in metric for word in FALLING) and not metric.startswith((F1_OF, AP_OF))
    return "min" if falls else "max"


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
