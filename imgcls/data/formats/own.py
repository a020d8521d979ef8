"""Samples of a data set that a user has written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgcls.data.formats.class_names import class_name
from imgcls.data.formats.samples import Samples
from imgcls.errors import UserError

CLASS_NAMES, LABELS = ("class_names", "classes"), ("labels", "targets")
"""Attributes that hold them: ours, and torchvision's and Paddle's."""


@dataclass(frozen=True, eq=False)
class OwnSamples(Samples):
    """Samples whose images come from ``dataset[number][0]``.

    Args:
        dataset: the user's; ``numbers`` are int64 ``[N]``.
    """

    dataset: Any
    numbers: np.ndarray

    def source(self, index: int) -> Any:
        """A path, the content of a file, a PIL image or a uint8 array."""
        return self.dataset[int(self.numbers[index])][0]


def own_samples(dataset: Any, name: str) -> OwnSamples:
    """The samples of a data set that has ``len()``, ``[number] -> (image, label)``, class names and labels.

    Args:
        dataset: ``class_names`` (or ``classes``) are texts, ``labels`` (or ``targets``) numbers from 0.
        name: what the samples are called, with their numbers.

    Raises:
        UserError: something of it is missing or does not fit.
    """
    class_names = tuple(class_name(str(name)) for name in _attribute(dataset, CLASS_NAMES))
    labels = np.asarray(_attribute(dataset, LABELS), np.int64).reshape(-1)
    if len(labels) != len(dataset):
        raise UserError(f"{name}: the data set has {len(dataset)} samples and {len(labels)} labels.")
    if not len(labels):
        raise UserError(f"{name}: the data set has no samples.")
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise UserError(
            f"{name}: labels go from {labels.min()} to {labels.max()}, but there are {len(class_names)} class names: "
            f"expected 0 to {len(class_names) - 1}."
        )
    names = [f"{name}[{number}]".encode() for number in range(len(labels))]
    lengths = np.array([len(one) for one in names], np.int64)
    ends = np.cumsum(lengths)
    numbers = np.arange(len(labels))
    return OwnSamples("", b"".join(names), ends - lengths, ends, labels.astype(np.int32), class_names, dataset, numbers)


def _attribute(dataset: Any, names: Sequence[str]) -> Any:
    for name in names:
        if (value := getattr(dataset, name, None)) is not None:
            return value
    raise UserError(f"{type(dataset).__name__} has no attribute {' or '.join(names)}, which a data set needs here.")
