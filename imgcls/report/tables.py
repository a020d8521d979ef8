"""An evaluation as files for other programs: ``summary.json`` and tables as CSV."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.functional.metrics import ConfusionMatrix, expected_calibration_error
from imgcls.machine.files import atomic_write
from imgcls.machine.spreadsheet import harmless
from imgcls.machine.text import escape_controls, write_json
from imgcls.report.answers import Answers


def summarise(
    origin: dict[str, str], result: dict[str, float], confusion: ConfusionMatrix, answers: Answers
) -> dict[str, str | float | None]:
    """The headline numbers, after what was evaluated on what; ``None`` for one that is no finite number."""
    numbers = {
        "pictures": len(answers),
        **result,
        "mean_class_accuracy": confusion.mean_class_accuracy(),
        "balanced_accuracy": confusion.mean_class_accuracy(),
        "macro_f1": confusion.class_counts().macro_f1(),
        "expected_calibration_error": expected_calibration_error(answers.probabilities, answers.labels),
    }
    return {**origin, **{name: value if math.isfinite(value) else None for name, value in numbers.items()}}


def write_tables(
    directory: Path, summary: dict[str, Any], confusion: ConfusionMatrix, answers: Answers, samples: Samples
) -> None:
    """Write ``summary.json``, ``per_class.csv``, ``per_image.csv`` and ``confusion_matrix.csv``."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "summary.json", summary)
    names = samples.class_names
    _write_csv(
        directory / "per_class.csv",
        ("class", "name", "pictures", "accuracy", "precision", "f1"),
        zip(
            range(len(names)),
            names,
            confusion.counts.sum(axis=1),
            confusion.per_class_accuracy(),
            confusion.per_class_precision(),
            confusion.class_counts().f1(),
            strict=True,
        ),
    )
    _write_csv(
        directory / "per_image.csv",
        ("path", "label", "name", "predicted", "predicted_name", "score", "score_of_label", "right"),
        _per_image(answers, samples),
    )
    _write_csv(
        directory / "confusion_matrix.csv",
        ("true \\ predicted", *names),
        ((name, *row) for name, row in zip(names, confusion.counts, strict=True)),
    )


def _per_image(answers: Answers, samples: Samples) -> Iterable[Sequence]:
    names = samples.class_names
    columns = (
        answers.indices,
        answers.labels,
        answers.predictions,
        answers.scores,
        answers.scores_of_labels,
        answers.right.astype(np.int64),
    )
    for index, label, predicted, score, score_of_label, right in zip(*columns, strict=True):
        path = escape_controls(samples.path(int(index)))
        yield path, label, names[label], predicted, names[predicted], f"{score:.6f}", f"{score_of_label:.6f}", right


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    # The bytes of a file name that is not UTF-8 are written as they are.
    with (
        atomic_write(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(map(harmless, header))
        writer.writerows(map(harmless, row) for row in rows)
