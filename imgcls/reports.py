"""What an evaluation leaves behind: summary, per-class and per-image tables, confusion matrix."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import paddle
from paddle.nn import functional as F

from imgcls.data.samples import Samples
from imgcls.engine.trainer import EvaluationMeter
from imgcls.metrics import ConfusionMatrix, expected_calibration_error

MAX_DRAWN_CLASSES = 60


class DetailedMeter(EvaluationMeter):
    """An ``EvaluationMeter`` that also keeps every picture's answer."""

    def __init__(self, num_classes: int, topk: Sequence[int] = (1, 5)):
        super().__init__([min(k, num_classes) for k in topk])
        self.confusion = ConfusionMatrix(num_classes)
        self.parts: list[tuple[np.ndarray, ...]] = []

    def update(self, logits: paddle.Tensor, labels: paddle.Tensor, indices: paddle.Tensor) -> None:
        super().update(logits, labels, indices)
        probabilities = F.softmax(logits, axis=1).numpy()
        labels, indices = labels.numpy(), indices.numpy()
        self.confusion.update(labels, probabilities.argmax(axis=1))
        self.parts.append((indices, labels, probabilities))

    def collected(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sample numbers ``[N]``, labels ``[N]`` and probabilities ``[N, num_classes]`` of all pictures."""
        indices, labels, probabilities = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        return indices, labels, probabilities


def write_evaluation(
    directory: Path, meter: DetailedMeter, result: dict[str, float], samples: Samples, source: str
) -> None:
    """Write ``summary.json``, ``per_class.csv``, ``per_image.csv``, ``confusion_matrix.csv`` and ``.png``."""
    directory.mkdir(parents=True, exist_ok=True)
    names = samples.class_names
    indices, labels, probabilities = meter.collected()
    summary = {
        "source": source,
        "pictures": len(labels),
        **result,
        "mean_class_accuracy": meter.confusion.mean_class_accuracy(),
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
    }
    (directory / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    counts = meter.confusion.counts
    _write_csv(
        directory / "per_class.csv",
        ("class", "name", "pictures", "accuracy", "precision"),
        zip(
            range(len(names)),
            names,
            counts.sum(axis=1),
            meter.confusion.per_class_accuracy(),
            meter.confusion.per_class_precision(),
            strict=True,
        ),
    )
    predictions = probabilities.argmax(axis=1)
    _write_csv(
        directory / "per_image.csv",
        ("path", "label", "name", "predicted", "predicted_name", "score", "score_of_label", "right"),
        (
            (
                samples.path(int(index)),
                label,
                names[label],
                predicted,
                names[predicted],
                f"{row[predicted]:.6f}",
                f"{row[label]:.6f}",
                int(label == predicted),
            )
            for index, label, predicted, row in zip(indices, labels, predictions, probabilities, strict=True)
        ),
    )
    _write_csv(
        directory / "confusion_matrix.csv",
        ("true \\ predicted", *names),
        ((name, *row) for name, row in zip(names, counts, strict=True)),
    )
    draw_confusion_matrix(counts, names, directory / "confusion_matrix.png")


def draw_confusion_matrix(counts: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Rows are true classes, coloured by their share of each prediction; numbers where they can be read."""
    from matplotlib.figure import Figure

    classes = len(names)
    named = classes <= MAX_DRAWN_CLASSES
    side = min(3 + 0.45 * classes, 16) if named else 12
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if named:
        axes.set_xticks(range(classes), names, rotation=90)
        axes.set_yticks(range(classes), names)
        for true, predicted in np.argwhere(counts):
            color = "white" if share[true, predicted] > 0.5 else "black"
            axes.text(predicted, true, counts[true, predicted], ha="center", va="center", color=color)
    figure.savefig(path, dpi=110)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
