"""Labels as files give them, numbers or names, and the classes they count."""

import re
from array import array

import numpy as np

from imgcls.data.formats.class_names import class_name
from imgcls.data.formats.list_file import MOST_CLASSES

NUMBER = re.compile(r"\d{1,9}")
OF_DIGITS = re.compile(r"\d+")


class Labels:
    """Labels one after the other: whole numbers, or names; a number among names is one of them."""

    def __init__(self):
        self._codes = array("q")  # numbers from 0; names as -1, -2, ...
        self._names: dict[str, int] = {}

    def add(self, label: int | str) -> None:
        """Take note of the next one.

        Raises:
            ValueError: it is no class number.
        """
        if isinstance(label, str):
            self._codes.append(self._names.setdefault(label, -1 - len(self._names)))
        elif 0 <= label < MOST_CLASSES:
            self._codes.append(label)
        else:
            raise ValueError(f"the label {label} is no class number")

    def __len__(self) -> int:
        return len(self._codes)


def label_of_text(text: str) -> int | str:
    """A text as a whole number, if it is one, else as a class name."""
    return int(text) if NUMBER.fullmatch(text) else class_name(text)


def number_labels(labels: Labels) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """The number of each one's class, int32 ``[N]``, and the class names in order; ``None`` where all are numbers."""
    codes = np.frombuffer(labels._codes, np.int64) if len(labels) else np.zeros(0, np.int64)
    if not labels._names:
        return codes.astype(np.int32), None
    name_of = {code: name for name, code in labels._names.items()}
    name_of |= {code: str(code) for code in np.unique(codes[codes >= 0]).tolist()}
    names = in_natural_order(set(name_of.values()))
    place = {name: number for number, name in enumerate(names)}
    found, inverse = np.unique(codes, return_inverse=True)
    return np.array([place[name_of[code]] for code in found.tolist()], np.int32)[inverse], names


def in_natural_order(names: set[str]) -> tuple[str, ...]:
    """Sorted, numbers by their value where all are numbers."""
    if all(map(OF_DIGITS.fullmatch, names)):  # of any length: the longer without zeros in front is the larger
        return tuple(sorted(names, key=lambda name: (len(digits := name.lstrip("0")), digits, name)))
    return tuple(sorted(names))
