"""A confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imgcls.machine.files import atomic_write
from imgcls.report.fonts import fonts_for, labels_of
from imgcls.report.title import draw_title, shortened

MAX_NAMED_CLASSES = 60


def draw_confusion_matrix(counts: np.ndarray, names: Sequence[str], path: Path, title: str = "") -> None:
    """Rows are true classes, coloured by their share of each prediction; numbers where they can be read.

    A name that no font can draw is its class number, which a warning explains.
    """
    named = len(names) <= MAX_NAMED_CLASSES
    labels = [shortened(one) for one in labels_of(dict(enumerate(names)), path.name).values()] if named else []
    with fonts_for([*labels, title]):
        _draw(counts, labels, path, title)


def _draw(counts: np.ndarray, labels: Sequence[str], path: Path, title: str) -> None:
    """``labels`` are empty where there are too many classes."""
    from matplotlib.figure import Figure

    classes, named = len(counts), bool(labels)
    side = min(3 + 0.45 * classes, 16) if named else 12
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    draw_title(figure, title)
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if named:
        # A dollar sign would begin a formula.
        axes.set_xticks(range(classes), labels, rotation=90, parse_math=False)
        axes.set_yticks(range(classes), labels, parse_math=False)
        for true, predicted in np.argwhere(counts):
            color = "white" if share[true, predicted] > 0.5 else "black"
            axes.text(predicted, true, counts[true, predicted], ha="center", va="center", color=color)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=110, format="png")
