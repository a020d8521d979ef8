"""The best classes of each picture: records, their files, and a table for the terminal."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from imgcls.data.paths import printable
from imgcls.deploy.line_file import LineFile, Record
from imgcls.deploy.predictor import top_classes
from imgcls.machine.files import remove
from imgcls.machine.spreadsheet import write_spreadsheet

SHOWN = 20
"""Pictures in the table; all of them are in the file."""

UNKNOWN = "unknown"
"""The answer for a picture whose best class is not sure enough."""

SHEET = "predictions.csv"
DIGITS = 6
"""Of a score in it."""


class ClassFile:
    """``predictions.jsonl``: ``{"path": ..., "top": [{"class": number, "name": ..., "score": probability}, ...]}``.

    Args:
        class_names: in order of the class number.
        topk: classes of each picture.
        threshold: a record also has an ``answer``: the name of the best class, or ``UNKNOWN`` if its
            probability is below.
        resume: keep the pictures that are there.
    """

    def __init__(
        self,
        directory: Path,
        class_names: Sequence[str],
        topk: int,
        threshold: float | None = None,
        resume: bool = False,
    ):
        self.path = directory / "predictions.jsonl"
        self.class_names = class_names
        self.topk = topk
        self.threshold = threshold
        self._lines = LineFile(self.path, resume)
        remove(self.path.with_name(SHEET))  # of other answers

    def paths(self) -> Iterator[str]:
        """Pictures that are in it."""
        return (record["path"] for record in self._lines)

    def add(self, paths: Sequence[str], probabilities: np.ndarray) -> None:
        """Append a line for each path; ``probabilities`` are ``[N, num_classes]``."""
        for path, scores, top in zip(paths, probabilities, top_classes(probabilities, self.topk), strict=True):
            classes = [{"class": int(c), "name": self.class_names[c], "score": float(scores[c])} for c in top]
            record = {"path": path, "top": classes}
            if self.threshold is not None:
                answer = classes[0]["name"] if self._is_sure(record) else UNKNOWN
                record = {"path": path, "answer": answer, "top": classes}
            self._lines.write(record)

    def answers(self) -> Iterator[tuple[str, int | None]]:
        """Each picture and the number of its class; ``None`` for an unknown one."""
        for record in self._lines:
            yield record["path"], record["top"][0]["class"] if self._is_sure(record) else None

    def write_sheet(self) -> Path:
        """The same as ``predictions.csv``, for spreadsheets: a row for each picture, three columns for each class."""
        path = self.path.with_name(SHEET)
        header = ["path", *(["answer"] if self.threshold is not None else [])]
        for rank in range(1, self.topk + 1):
            header += [column if rank == 1 else f"{column}_{rank}" for column in ("class", "name", "score")]
        write_spreadsheet(path, header, map(_row, self._lines))
        return path

    def close(self) -> int:
        """Show the first pictures; gives the number of all."""
        self._lines.close()
        total = sum(1 for _ in self.paths())
        print_table(list(islice(self._lines, SHOWN)), total)
        return total

    def _is_sure(self, record: Record) -> bool:
        return self.threshold is None or record["top"][0]["score"] >= self.threshold


def print_table(records: Iterable[Record], total: int) -> None:
    """The answers for the first pictures; to standard output, as wide as the terminal."""
    records = list(records)
    table = Table(Column("picture", overflow="fold"), Column("class", overflow="fold"), "score")
    for record in records:
        for rank, answer in enumerate(record["top"]):
            picture = printable(record["path"]) if rank == 0 else ""
            if rank == 0 and record.get("answer", answer["name"]) != answer["name"]:
                table.add_row(escape(picture), UNKNOWN, "")
                picture = ""
            table.add_row(escape(picture), escape(answer["name"]), f"{answer['score']:.4f}")
        table.add_section()
    console = Console()
    console.print(table)
    if total > len(records):
        console.print(f"... and {total - len(records):,} more pictures")


def _row(record: Record) -> list[object]:
    answer = [record["answer"]] if "answer" in record else []
    top = ((one["class"], one["name"], round(one["score"], DIGITS)) for one in record["top"])
    return [record["path"], *answer, *chain.from_iterable(top)]
