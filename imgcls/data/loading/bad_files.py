"""Image files that cannot be read: what happens in their place, and the account of them.

In training another image stands in, so that batches keep their size; in evaluation none may, since
every image counts once. What a worker finds travels with the batch to the process that trains, which
names each file once and counts.
"""

import contextlib
import fcntl
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgcls.data.loading.dataset import ClassificationDataset, Sample
from imgcls.data.loading.sampler import epoch_of
from imgcls.data.paths import printable
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError

log = logging.getLogger("imgcls")


@dataclass(frozen=True)
class BadFile:
    """A file that was left out, and why."""

    path: str
    reason: str


def substitute(
    dataset: ClassificationDataset, key: tuple[int, int], order: Callable[[int], np.ndarray], limit: int
) -> tuple[Sample | None, list[BadFile]]:
    """The sample of ``key``, or else of the first one after it in its epoch that can be read.

    A function of the key and the files alone: the same in whatever process, and when it is repeated.

    Args:
        order: from an epoch to its order of indices.
        limit: bad files after which the search is given up.

    Returns:
        The sample (``None`` after more than ``limit`` bad files) and the bad files before it.

    Raises:
        UserError: no file of the data set can be read.
    """
    try:
        return dataset[key], []
    except BadImage as error:
        bad = {_path(dataset, key): str(error)}
    epoch, index = key
    indices = order(epoch_of(key))
    position = int(np.flatnonzero(indices == index)[0])
    for step in range(1, len(indices)):
        if len(bad) > limit:
            return None, _as_files(bad)
        candidate = epoch, int(indices[(position + step) % len(indices)])
        try:
            return dataset[candidate], _as_files(bad)
        except BadImage as error:
            bad[_path(dataset, candidate)] = str(error)
    raise UserError(f"None of the {len(indices):,} images can be read. The first: {next(iter(bad.values()))}")


def leave_out(dataset: ClassificationDataset, key: tuple[int, int]) -> tuple[Sample | None, list[BadFile]]:
    """The sample of ``key``, or ``None`` and the bad file: no other image may count twice."""
    try:
        return dataset[key], []
    except BadImage as error:
        return None, [BadFile(_path(dataset, key), str(error))]


class BadFiles:
    """The account of a run, over all its epochs, processes and restarts.

    Args:
        limit: how many files may be bad.
        file: where they are listed, a path a line; nowhere when left out.
    """

    def __init__(self, limit: int, file: Path | None = None):
        self.limit = limit
        self.file = file
        self.known: set[str] = set()

    def add(self, found: Iterable[BadFile]) -> None:
        """Name those in the log that were not named before.

        Raises:
            UserError: there are more than ``limit`` now.
        """
        new = [bad for bad in found if bad.path not in self.known]
        if new and self.file is None:
            self._name(new)
        elif new:
            with self.file.open("a+", encoding="utf-8") as file:
                with contextlib.suppress(OSError):  # where there are no locks, a file may be listed twice
                    fcntl.flock(file, fcntl.LOCK_EX)  # other processes of the run add to it too
                file.seek(0)
                self.known.update(file.read().split("\n")[:-1])
                file.writelines(f"{bad.path}\n" for bad in self._name(new))
        if len(self.known) > self.limit:
            where = f" They are listed in {self.file}; delete that to count anew." if self.file else ""
            files = "image file" if len(self.known) == 1 else "image files"
            raise UserError(
                f"{len(self.known):,} {files} cannot be read, more than data.max_errors={self.limit}.{where} "
                "python -m imgcls.verify looks through a whole data set."
            )

    def _name(self, found: Iterable[BadFile]) -> list[BadFile]:
        new = []
        for bad in found:
            if bad.path not in self.known:
                self.known.add(bad.path)
                log.warning("left out: %s", bad.reason)
                new.append(bad)
        return new


def _path(dataset: ClassificationDataset, key: tuple[int, int]) -> str:
    return printable(dataset.samples.path(key[1]))


def _as_files(bad: dict[str, str]) -> list[BadFile]:
    return [BadFile(path, reason) for path, reason in bad.items()]
