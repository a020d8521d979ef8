"""What is wrong with a data set: files that cannot be used, content in both splits, empty classes, wrong lines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from imgcls.data.checking.file_check import FileCheck
from imgcls.data.formats.samples import Samples
from imgcls.data.paths import printable

UNREADABLE, TINY, DUPLICATE, EMPTY_CLASS, WRONG_LINE = "unreadable", "tiny", "duplicate", "empty class", "wrong line"
KINDS = (UNREADABLE, TINY, DUPLICATE, EMPTY_CLASS, WRONG_LINE)


@dataclass(frozen=True)
class Problem:
    """One line of the report; ``path`` is empty for a class, ``label`` for a line without one."""

    kind: str
    split: str
    path: str
    label: int | None
    detail: str


class Verification:
    """The problems of a data set, from the checks of its files.

    Args:
        min_size: images with a shorter side are ``tiny``.
    """

    def __init__(self, splits: Mapping[str, Samples], min_size: int = 0):
        self.splits = splits
        self.min_size = min_size
        self.problems: list[Problem] = []
        self._digests = {split: np.zeros((len(samples), 32), np.uint8) for split, samples in splits.items()}
        self._readable = {split: np.zeros(len(samples), bool) for split, samples in splits.items()}

    def add(self, split: str, check: FileCheck) -> None:
        """Take note of one file."""
        if check.digest is None:
            self._note(UNREADABLE, split, check.index, check.fault)
            return
        self._readable[split][check.index] = True
        self._digests[split][check.index] = np.frombuffer(check.digest, np.uint8)
        width, height = check.size
        if min(width, height) < self.min_size:
            self._note(TINY, split, check.index, f"{width} x {height} pixels")

    def finish(self) -> list[Problem]:
        """All problems, once every file has been added."""
        self._compare_splits()
        for split, samples in self.splits.items():
            for label in np.flatnonzero(samples.class_counts() == 0):
                name = samples.class_names[label]
                self.problems.append(Problem(EMPTY_CLASS, split, "", int(label), f"no image of '{name}'"))
        return sorted(self.problems, key=lambda problem: (KINDS.index(problem.kind), problem.split))

    def _compare_splits(self) -> None:
        """Images of validation that are among those of training."""
        if set(self.splits) != {"train", "val"}:
            return
        in_val = {digest for _, digest in self._contents("val")}
        first_in_train: dict[bytes, int] = {}
        for index, digest in self._contents("train"):
            if digest in in_val:
                first_in_train.setdefault(digest, index)
        for index, digest in self._contents("val"):
            if digest in first_in_train:
                twin = printable(self.splits["train"].path(first_in_train[digest]))
                self._note(DUPLICATE, "val", index, f"the same file as {twin}")

    def _contents(self, split: str) -> Iterator[tuple[int, bytes]]:
        for index in np.flatnonzero(self._readable[split]):
            yield int(index), self._digests[split][index].tobytes()

    def _note(self, kind: str, split: str, index: int, detail: str) -> None:
        samples = self.splits[split]
        self.problems.append(Problem(kind, split, printable(samples.path(index)), samples.label(index), detail))
