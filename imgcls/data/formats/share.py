"""A share of each class kept for validation, the same on every machine."""

import hashlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.machine.reading import open_regular

TAIL = 4096
"""Compressed images that agree in size and in so many bytes at the end are taken for the same picture."""


def kept_for_validation(samples: Samples, share: float, seed: int = 0) -> np.ndarray:
    """Which samples are for validation, bool ``[N]``.

    Each class gives the ``share`` of its samples, rounded, at least one and never all. Which ones is decided by a
    hash of their relative paths and the ``seed``. Files of the same content are on one side: in training where
    they are in several classes.

    Raises:
        UserError: no class can give a sample.
    """
    group_of = _groups_of_equal_files(samples)
    labels_of = defaultdict(set)
    for index, group in group_of.items():
        labels_of[group].add(samples.label(index))
    kept = np.zeros(len(samples), bool)
    by_class = np.argsort(samples.labels, kind="stable")
    for own in np.split(by_class, np.cumsum(np.bincount(samples.labels, minlength=samples.num_classes))[:-1]):
        groups = defaultdict(list)
        for index in own.tolist():
            groups[group_of.get(index, index)].append(index)
        movable = [members for group, members in groups.items() if len(labels_of[group]) < 2]
        movable.sort(key=lambda members: min(_rank(samples, index, seed) for index in members))
        left = min(max(1, round(share * len(own))), len(own) - 1)
        for members in movable:
            if len(members) <= left:
                kept[members] = True
                left -= len(members)
    if not kept.any():
        raise UserError(
            f"data.val_share={share}: no class of {printable(samples.root)} has two different pictures to divide."
        )
    return kept


def _rank(samples: Samples, index: int, seed: int) -> bytes:
    name = unicodedata.normalize("NFC", os.fsdecode(samples.relative_path(index)))
    return hashlib.sha256(b"%d %s" % (seed, os.fsencode(name))).digest()


def _groups_of_equal_files(samples: Samples) -> dict[int, int]:
    """The first sample with the same content, of every sample that has such a twin."""
    by_size = defaultdict(list)
    for index in range(len(samples)):
        try:
            by_size[os.stat(samples.path(index)).st_size].append(index)
        except OSError:  # to be found by whoever reads it
            continue
    by_content = defaultdict(list)
    for size, indices in by_size.items():
        if len(indices) > 1:
            for index, tail in _tails(samples, indices, size):
                by_content[size, tail].append(index)
    return {index: same[0] for same in by_content.values() if len(same) > 1 for index in same}


def _tails(samples: Samples, indices: list[int], size: int) -> Iterator[tuple[int, bytes]]:
    for index in indices:
        try:
            with open_regular(samples.path(index)) as file:
                yield index, os.pread(file.fileno(), TAIL, max(0, size - TAIL))
        except OSError:
            continue
