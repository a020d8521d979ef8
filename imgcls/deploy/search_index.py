"""What ``imgcls.search build`` keeps of a data set: where its pictures are, their features and labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.errors import UserError
from imgcls.machine.files import atomic_write, remove
from imgcls.machine.npz import read_arrays
from imgcls.machine.reading import open_regular, read_json
from imgcls.machine.text import write_json

ARRAYS, FACTS = "index.npz", "index.json"


@dataclass(frozen=True)
class SearchIndex:
    """Pictures that can be searched.

    Args:
        paths: absolute.
        features: of length 1, float32 ``[N, D]``.
        labels: int64 ``[N]``, -1 where there is none.
        class_names: of the labels.
        origin: what the features depend on, as ``imgcls.predict`` wrote it down.
        command: the overrides of ``imgcls.predict`` that open the network again.
    """

    paths: Sequence[str]
    features: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    origin: dict[str, Any]
    command: tuple[str, ...]

    def name_of(self, number: int) -> str | None:
        """The class of a picture, if it is known."""
        label = int(self.labels[number])
        return self.class_names[label] if label >= 0 else None


def write_index(index: SearchIndex, directory: Path) -> None:
    """Write ``index.npz`` and ``index.json``; without the second there is no index."""
    remove(directory / FACTS)
    with atomic_write(directory / ARRAYS) as partial, partial.open("wb") as file:
        np.savez(file, paths=np.array(index.paths), features=index.features, labels=index.labels)
    facts = {"class_names": list(index.class_names), "origin": index.origin, "command": list(index.command)}
    with atomic_write(directory / FACTS) as partial:
        write_json(partial, facts)


def read_index(directory: Path) -> SearchIndex:
    """What ``write_index`` wrote.

    Raises:
        UserError: there is no index, or it is damaged.
    """
    if not (directory / FACTS).is_file():
        raise UserError(
            f"{directory} holds no index. Make one: python -m imgcls.search build <directory of features> "
            "run.name=index, and name outputs/index."
        )
    facts = read_json(directory / FACTS)
    try:
        with open_regular(directory / ARRAYS) as file:
            arrays = read_arrays(file, texts=True)
        paths, features, labels = (arrays[name] for name in ("paths", "features", "labels"))
        names, origin, command = (facts[name] for name in ("class_names", "origin", "command"))
        texts = [*names, *command]
        if not all(isinstance(text, str) for text in texts) or not isinstance(origin, dict):
            raise ValueError(f"{FACTS} holds other values")
        right = (paths.ndim, features.ndim, labels.shape) == (1, 2, paths.shape) and len(features) == len(paths)
        if not right or (features.dtype, labels.dtype) != (np.float32, np.int64) or not len(paths):
            raise ValueError("its arrays do not belong together")
        if not np.isfinite(features).all() or labels.min() < -1 or labels.max() >= len(names):
            raise ValueError("its arrays hold other values")
    except Exception as error:  # whatever zipfile, zlib and numpy make of a damaged one
        raise UserError(f"{directory / ARRAYS} is damaged: {error}. Build the index again.") from error
    return SearchIndex(paths.tolist(), features, labels, tuple(names), origin, tuple(command))
