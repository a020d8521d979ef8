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
from imgcls.deploy.predictor import taken, top_classes
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
        tag_thresholds: of each class, where a picture has any number of them; a record then also has ``tags``,
            the classes that reach theirs, in the form of ``top``.
    """

    def __init__(
        self,
        directory: Path,
        class_names: Sequence[str],
        topk: int,
        threshold: float | None = None,
        resume: bool = False,
        tag_thresholds: Sequence[float] | None = None,
    ):
        self.path = directory / "predictions.jsonl"
        self.tag_thresholds = tag_thresholds
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
            classes = self._classes(scores, top)
            record = {"path": path, "top": classes}
            if self.tag_thresholds is not None:
                tags = self._classes(scores, taken(scores, self.tag_thresholds))
                record = {"path": path, "tags": tags, "top": classes}
            if self.threshold is not None:
                answer = classes[0]["name"] if self._is_sure(record) else UNKNOWN
                record = {"path": path, "answer": answer, "top": classes}
            self._lines.write(record)

    def _classes(self, scores: np.ndarray, numbers: Iterable[int]) -> list[Record]:
        return [{"class": int(c), "name": self.class_names[c], "score": float(scores[c])} for c in numbers]

    def answers(self) -> Iterator[tuple[str, int | None]]:
        """Each picture and the number of its class; ``None`` for an unknown one."""
        for record in self._lines:
            yield record["path"], record["top"][0]["class"] if self._is_sure(record) else None

    def write_sheet(self) -> Path:
        """The same as ``predictions.csv``, for spreadsheets: a row for each picture, three columns for each class."""
        path = self.path.with_name(SHEET)
        header = ["path", *(["answer"] if self.threshold is not None else [])]
        header += ["tags"] if self.tag_thresholds is not None else []
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
    tagged = any("tags" in record for record in records)
    columns = Column("picture", overflow="fold"), Column("class", overflow="fold"), "score"
    table = Table(*columns, *(["tag"] if tagged else []))
    for record in records:
        tags = {tag["class"] for tag in record.get("tags", ())}
        for rank, answer in enumerate(record["top"]):
            picture = printable(record["path"]) if rank == 0 else ""
            if rank == 0 and record.get("answer", answer["name"]) != answer["name"]:
                table.add_row(escape(picture), UNKNOWN, "")
                picture = ""
            marked = ["yes" if answer["class"] in tags else ""] if tagged else []
            table.add_row(escape(picture), escape(answer["name"]), f"{answer['score']:.4f}", *marked)
        table.add_section()
    console = Console()
    console.print(table)
    if total > len(records):
        console.print(f"... and {total - len(records):,} more pictures")


def _row(record: Record) -> list[object]:
    answer = [record["answer"]] if "answer" in record else []
    answer += ["; ".join(tag["name"] for tag in record["tags"])] if "tags" in record else []
    top = ((one["class"], one["name"], round(one["score"], DIGITS)) for one in record["top"])
    return [record["path"], *answer, *chain.from_iterable(top)]
