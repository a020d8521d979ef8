"""What predictions leave behind: JSON lines, embeddings, and a table for the terminal."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from imgcls.data.paths import printable
from imgcls.deploy.predictor import Predictor, top_classes
from imgcls.deploy.reader import Batch

SHOWN = 20
"""Pictures in the table; all of them are in the file."""

Record = dict[str, Any]


def predict_classes(
    batches: Iterable[Batch], predictor: Predictor, class_names: Sequence[str], topk: int
) -> Iterator[Record]:
    """``{"path": ..., "top": [{"class": number, "name": ..., "score": probability}, ...]}`` for each picture."""
    for paths, images in batches:
        probabilities = predictor.probabilities(images)
        for path, scores, top in zip(paths, probabilities, top_classes(probabilities, topk), strict=True):
            classes = [{"class": int(c), "name": class_names[c], "score": float(scores[c])} for c in top]
            yield {"path": path, "top": classes}


def write_records(records: Iterable[Record], file: Path) -> tuple[int, list[Record]]:
    """Write a JSON line for each record as it comes; gives their number and the first ``SHOWN``."""
    count, first = 0, []
    with file.open("w", encoding="utf-8", buffering=1) as lines:
        for count, record in enumerate(records, start=1):
            lines.write(json.dumps(record) + "\n")
            if count <= SHOWN:
                first.append(record)
    return count, first


def print_table(records: Sequence[Record], total: int) -> None:
    """The answers for the first pictures; to standard output, as wide as the terminal."""
    table = Table(Column("picture", overflow="fold"), Column("class", overflow="fold"), "score")
    for record in records:
        for rank, answer in enumerate(record["top"]):
            picture = printable(record["path"]) if rank == 0 else ""
            table.add_row(escape(picture), escape(answer["name"]), f"{answer['score']:.4f}")
        table.add_section()
    console = Console()
    console.print(table)
    if total > len(records):
        console.print(f"... and {total - len(records):,} more pictures")


def write_features(batches: Iterable[Batch], predictor: Predictor, file: Path) -> int:
    """Write ``paths`` ``[N]`` and ``features`` float32 ``[N, num_features]`` as ``.npz``; gives N."""
    paths, features = [], []
    for names, images in batches:
        paths += names
        features.append(predictor.features(images))
    if paths:
        np.savez(file, paths=np.array(paths), features=np.concatenate(features))
    return len(paths)
