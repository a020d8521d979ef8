"""An evaluation of pictures with several classes each as files: ``summary.json`` and tables as CSV."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.engine.meters import TagMeter
from imgcls.functional.tag_metrics import TagCounts, average_precision
from imgcls.machine.files import atomic_write
from imgcls.machine.text import escape_controls, write_json

HALF = 0.5


def summarise_tags(origin: dict[str, Any], meter: TagMeter) -> dict[str, Any]:
    """The headline numbers, after what was evaluated on what; ``None`` for one that is no finite number."""
    scores, targets = meter.scores, meter.targets
    at_own, at_half = (TagCounts.of(scores, targets, level) for level in (meter.thresholds(), HALF))
    numbers = {
        "pictures": meter.samples,
        **{name: value for name, value in meter.result().items() if name in ("loss", "mAP")},
        "macro_f1": at_own.macro_f1(),
        "micro_f1": at_own.micro_f1(),
        "macro_f1_at_0.5": at_half.macro_f1(),
        "micro_f1_at_0.5": at_half.micro_f1(),
        "tags_per_picture": float(targets.sum(axis=1).mean()),
    }
    return {**origin, **{name: value if math.isfinite(value) else None for name, value in numbers.items()}}


def class_rows(meter: TagMeter) -> list[tuple]:
    """Number, name, pictures, average precision, threshold, precision, recall and F1 of each class."""
    scores, targets, thresholds = meter.scores, meter.targets, meter.thresholds()
    counts = TagCounts.of(scores, targets, thresholds)
    columns = (counts.true, average_precision(scores, targets), thresholds, counts.precision(), counts.recall())
    return list(zip(range(len(meter.class_names)), meter.class_names, *columns, counts.f1(), strict=True))


def write_tag_tables(directory: Path, summary: dict[str, Any], meter: TagMeter, samples: Samples) -> None:
    """Write ``summary.json``, ``thresholds.json``, ``per_class.csv`` and ``per_image.csv``."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "summary.json", summary)
    thresholds = dict(zip(meter.class_names, meter.thresholds().tolist(), strict=True))
    write_json(directory / "thresholds.json", thresholds)
    header = ("class", "name", "pictures", "average_precision", "threshold", "precision", "recall", "f1")
    _write_csv(directory / "per_class.csv", header, class_rows(meter))
    header = ("path", "tags", "predicted", "right", *(f"score_{name}" for name in meter.class_names))
    _write_csv(directory / "per_image.csv", header, _per_image(meter, samples))


def _per_image(meter: TagMeter, samples: Samples) -> Iterable[Sequence]:
    names, thresholds = meter.class_names, meter.thresholds()
    for index, scores, own in zip(meter.indices, meter.scores, meter.targets, strict=True):
        taken = scores >= thresholds
        path = escape_controls(samples.path(int(index)))
        shown = ("; ".join(names[number] for number in np.flatnonzero(part)) for part in (own, taken))
        yield path, *shown, int((own == taken).all()), *(f"{score:.6f}" for score in scores)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    # The bytes of a file name that is not UTF-8 are written as they are.
    with (
        atomic_write(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
