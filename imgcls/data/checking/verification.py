"""What is wrong with a data set: files that cannot be used, the same picture twice, empty classes, wrong lines."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from imgcls.data.checking.file_check import FileCheck
from imgcls.data.checking.likeness import Looks
from imgcls.data.formats.samples import Samples
from imgcls.data.paths import printable

UNREADABLE, TINY, CONFLICT, DUPLICATE, LOOK_ALIKE = "unreadable", "tiny", "conflict", "duplicate", "look-alike"
EMPTY_CLASS, WRONG_LINE = "empty class", "wrong line"
KINDS = (UNREADABLE, TINY, CONFLICT, DUPLICATE, LOOK_ALIKE, EMPTY_CLASS, WRONG_LINE)


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
        self._first = [0, *accumulate(map(len, splits.values()))]  # number of each split's first sample
        self._by_digest: dict[bytes, list[int]] = defaultdict(list)
        self._looks = Looks(self._first[-1])

    def add(self, split: str, check: FileCheck) -> None:
        """Take note of one file."""
        if check.digest is None:
            self._note(UNREADABLE, split, check.index, check.fault)
            return
        number = self._first[list(self.splits).index(split)] + check.index
        self._by_digest[check.digest].append(number)
        if check.look is not None:
            self._looks.add(number, check.look)
        width, height = check.size
        if min(width, height) < self.min_size:
            self._note(TINY, split, check.index, f"{width} x {height} pixels")

    def finish(self) -> list[Problem]:
        """All problems, once every file has been added."""
        self._compare()
        for split, samples in self.splits.items():
            for label in np.flatnonzero(samples.class_counts() == 0):
                name = samples.class_names[label]
                self.problems.append(Problem(EMPTY_CLASS, split, "", int(label), f"no image of '{name}'"))
        return sorted(self.problems, key=lambda problem: (KINDS.index(problem.kind), problem.split))

    def _compare(self) -> None:
        """Each picture that is there more than once is named at its later places, with the first one."""
        noted: set[int] = set()
        for one, other in self._equal_files():
            kind = DUPLICATE if self._label(one) == self._label(other) else CONFLICT
            self._note_twin(kind, other, one, "the same file as")
            noted.add(other)
        alike = self._looks.alike()
        for one, other in sorted(
            alike, key=lambda pair: self._label(pair[0]) == self._label(pair[1])
        ):  # conflicts first
            conflict = self._label(one) != self._label(other)
            if other not in noted and (conflict or self._place(one)[0] != self._place(other)[0]):
                self._note_twin(CONFLICT if conflict else LOOK_ALIKE, other, one, "looks the same as")
                noted.add(other)

    def _equal_files(self) -> Iterator[tuple[int, int]]:
        """An earlier picture, of another class if there is one, and the later one."""
        for numbers in self._by_digest.values():
            first, *others = sorted(numbers)
            of_other_class = next((n for n in others if self._label(n) != self._label(first)), None)
            for number in others:
                if self._label(number) == self._label(first) and of_other_class is not None and of_other_class < number:
                    yield of_other_class, number
                else:
                    yield first, number

    def _place(self, number: int) -> tuple[str, int]:
        """Split and index in it."""
        position = bisect_right(self._first, number) - 1
        return list(self.splits)[position], number - self._first[position]

    def _label(self, number: int) -> int:
        split, index = self._place(number)
        return self.splits[split].label(index)

    def _note_twin(self, kind: str, number: int, twin: int, words: str) -> None:
        split, index = self._place(twin)
        samples = self.splits[split]
        detail = f"{words} {printable(samples.path(index))}"
        if kind == CONFLICT:
            detail += f", which is of '{samples.class_names[samples.label(index)]}'"
        self._note(kind, *self._place(number), detail)

    def _note(self, kind: str, split: str, index: int, detail: str) -> None:
        samples = self.splits[split]
        self.problems.append(Problem(kind, split, printable(samples.path(index)), samples.label(index), detail))
