"""The best classes of each picture: records, their file, and a table for the terminal."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from imgcls.data.paths import printable
from imgcls.deploy.line_file import LineFile, Record
from imgcls.deploy.predictor import top_classes

SHOWN = 20
"""Pictures in the table; all of them are in the file."""


class ClassFile:
    """``predictions.jsonl``: ``{"path": ..., "top": [{"class": number, "name": ..., "score": probability}, ...]}``.

    Args:
        class_names: in order of the class number.
        topk: classes of each picture.
        resume: keep the pictures that are there.
    """

    def __init__(self, directory: Path, class_names: Sequence[str], topk: int, resume: bool = False):
        self.path = directory / "predictions.jsonl"
        self.class_names = class_names
        self.topk = topk
        self._lines = LineFile(self.path, resume)

    def paths(self) -> Iterator[str]:
        """Pictures that are in it."""
        return (record["path"] for record in self._lines)

    def add(self, paths: Sequence[str], probabilities: np.ndarray) -> None:
        """Append a line for each path; ``probabilities`` are ``[N, num_classes]``."""
        for path, scores, top in zip(paths, probabilities, top_classes(probabilities, self.topk), strict=True):
            classes = [{"class": int(c), "name": self.class_names[c], "score": float(scores[c])} for c in top]
            self._lines.write({"path": path, "top": classes})

    def close(self) -> int:
        """Show the first pictures; gives the number of all."""
        self._lines.close()
        total = sum(1 for _ in self.paths())
        print_table(list(islice(self._lines, SHOWN)), total)
        return total


def print_table(records: Iterable[Record], total: int) -> None:
    """The answers for the first pictures; to standard output, as wide as the terminal."""
    records = list(records)
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
