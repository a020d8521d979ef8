"""A share of each class kept for validation, or one of several equal parts: the same on every machine."""

import hashlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.data.paths import bullet_list, printable
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError

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


def folds_of(samples: Samples, folds: int, seed: int = 0, allow_empty_classes: bool = False) -> np.ndarray:
    """Which of ``folds`` parts each sample is in, int64 ``[N]``.

    Each class is divided as evenly as its number allows, and so are all samples together. Which part a sample
    is in is decided by a hash of its relative path and the ``seed``; files of the same content are in one.

    Args:
        allow_empty_classes: accept classes with samples of one part alone, which the others then train without.

    Raises:
        UserError: there are fewer samples than parts, or a class is in one part alone.
    """
    group_of = _groups_of_equal_files(samples)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(samples)):
        groups[group_of.get(index, index)].append(index)
    units = [
        (samples.label(group), min(_rank(samples, index, seed) for index in members), members)
        for group, members in groups.items()
    ]
    if len(units) < folds:
        raise UserError(f"data.folds={folds}: {printable(samples.root)} has only {len(units)} different pictures.")
    fold, of_class, of_all = (
        np.zeros(len(samples), np.int64),
        np.zeros((samples.num_classes, folds), np.int64),
        np.zeros(folds, np.int64),
    )
    for label, _, members in sorted(units, key=lambda unit: unit[:2]):
        place = min(range(folds), key=lambda one: (of_class[label, one], of_all[one], one))
        fold[members] = place
        for index in members:
            of_class[samples.label(index), place] += 1
        of_all[place] += len(members)
    alone = np.flatnonzero((of_class > 0).sum(axis=1) == 1)
    if len(alone) and not allow_empty_classes:
        lines = [f"'{samples.class_names[label]}' ({of_class[label].sum():,})" for label in alone[:5]]
        raise UserError(
            f"data.folds={folds}: where their pictures are for validation, none is left for training:\n"
            f"{bullet_list(lines, len(alone))}\nAdd pictures to these classes, or set data.allow_empty_classes=true."
        )
    return fold


def _rank(samples: Samples, index: int, seed: int) -> bytes:
    name = unicodedata.normalize("NFC", os.fsdecode(samples.relative_path(index)))
    return hashlib.sha256(b"%d %s" % (seed, os.fsencode(name))).digest()


def _groups_of_equal_files(samples: Samples) -> dict[int, int]:
    """The first sample with the same content, of every sample that has such a twin."""
    by_size = defaultdict(list)
    for index in range(len(samples)):
        try:
            by_size[samples.size(index)].append(index)
        except OSError:  # to be found by whoever reads it
            continue
    by_content = defaultdict(list)
    for size, indices in by_size.items():
        if len(indices) > 1:
            for index, tail in _tails(samples, indices):
                by_content[size, tail].append(index)
    return {index: same[0] for same in by_content.values() if len(same) > 1 for index in same}


def _tails(samples: Samples, indices: list[int]) -> Iterator[tuple[int, bytes]]:
    for index in indices:
        try:
            yield index, samples.tail(index, TAIL)
        except (OSError, BadImage):
            continue
