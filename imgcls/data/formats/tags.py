"""Samples with any number of classes each: their tags."""

import filecmp
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgcls.data.formats.samples import Samples
from imgcls.data.paths import bullet_list, printable
from imgcls.errors import UserError, close_matches

MOST_TAGS = 100_000


@dataclass(frozen=True, eq=False)
class TaggedSamples(Samples):
    """``Samples`` whose ``labels`` are the first tag of each (0 where there is none), and beside them all tags.

    Args:
        packed: uint8 ``[N, ceil(num_classes / 8)]``, a bit for each class as ``numpy.packbits`` has them.
    """

    packed: np.ndarray

    def target(self, index: int) -> np.ndarray:
        """float32 ``[num_classes]``, 1 for each tag of the sample."""
        return np.unpackbits(self.packed[index], count=self.num_classes).astype(np.float32)

    def codes(self) -> np.ndarray:
        """A number for each set of tags."""
        return np.array([zlib.crc32(row.tobytes()) for row in self.packed], np.uint32).view(np.int32)

    def class_counts(self) -> np.ndarray:
        """Number of samples with each tag."""
        counts = np.zeros(self.num_classes, np.int64)
        for start in range(0, len(self), 4096):
            rows = np.unpackbits(self.packed[start : start + 4096], axis=1, count=self.num_classes)
            counts += rows.sum(axis=0, dtype=np.int64)
        return counts


def tagged(
    root: str, paths: Sequence[bytes], tags: Iterable[Sequence[int]], class_names: tuple[str, ...]
) -> TaggedSamples:
    """Samples from relative paths and the class numbers of each."""
    rows, first = np.zeros((len(paths), -(-len(class_names) // 8)), np.uint8), np.zeros(len(paths), np.int32)
    for number, own in enumerate(tags):
        for tag in own:
            rows[number, tag // 8] |= 128 >> tag % 8
        first[number] = own[0] if own else 0
    lengths = np.array([len(path) for path in paths], np.int64)
    ends = np.cumsum(lengths)
    return TaggedSamples(os.fspath(root), b"".join(paths), ends - lengths, ends, first, class_names, rows)


def merge_folders(samples: Samples) -> TaggedSamples:
    """A folder for each tag: a file that lies in several under one name is one picture with all these tags.

    Raises:
        UserError: two files of one name are different pictures.
    """
    places: dict[bytes, list[int]] = {}
    for index, path in enumerate(samples.relative_paths(0, len(samples))):
        places.setdefault(path.partition(b"/")[2], []).append(index)
    names = sorted(places)
    different = []
    for name in names:
        one, *others = (samples.path(index) for index in places[name])
        different += [(one, other) for other in others if not _same_content(one, other)]
    if different:
        lines = [f"{printable(one)} and {printable(other)}" for one, other in different[:5]]
        raise UserError(
            f"{len(different):,} pictures have the name of another one in another tag's folder:\n"
            f"{bullet_list(lines, len(different))}\n"
            "With data.multi_label=true a name in several folders is one picture with several tags: rename these."
        )
    paths = [samples.relative_path(places[name][0]) for name in names]
    tags = ([samples.label(index) for index in places[name]] for name in names)
    return tagged(samples.root, paths, tags, samples.class_names)


def _same_content(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other) or filecmp.cmp(one, other, shallow=False)
    except OSError:  # to be found by whoever reads it
        return True


def in_tags(samples: TaggedSamples, class_names: tuple[str, ...], where: str) -> TaggedSamples:
    """The same samples with tags that count ``class_names``, matched by name.

    Raises:
        UserError: there are samples with other tags; names the first.
    """
    if samples.class_names == class_names:
        return samples
    place = {name: number for number, name in enumerate(class_names)}
    counts = samples.class_counts()
    unknown = [name for name, count in zip(samples.class_names, counts, strict=True) if count and name not in place]
    if unknown:
        lines = [f"'{name}'.{close_matches(name, class_names)}" for name in unknown[:5]]
        raise UserError(
            f"{len(unknown)} tags of {where} are none that the model has:\n{bullet_list(lines, len(unknown))}\n"
            f"It has {len(class_names):,}: {', '.join(class_names[:10])}{', ...' if len(class_names) > 10 else ''}."
        )
    old = np.unpackbits(samples.packed, axis=1, count=samples.num_classes)
    new = np.zeros((len(samples), len(class_names)), np.uint8)
    for number, name in enumerate(samples.class_names):
        if name in place:
            new[:, place[name]] = old[:, number]
    first = np.where(new.any(axis=1), new.argmax(axis=1), 0).astype(np.int32)
    return replace(samples, labels=first, packed=np.packbits(new, axis=1), class_names=class_names)
