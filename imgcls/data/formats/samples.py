"""The samples of a data set: paths and labels in a few arrays, whatever their number."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np

from imgcls.data.paths import advice_on_form, bullet_list, printable
from imgcls.errors import UserError, close_matches
from imgcls.machine.reading import open_regular


@dataclass(frozen=True, eq=False)
class Samples:
    """Paths and labels of a data set, without a Python object per sample.

    A million Python strings cost every data worker its own copy as soon as it counts references;
    arrays stay shared between the processes.

    Args:
        root: the directory that relative paths start from.
        text: bytes that hold all relative paths, and possibly other things between them.
        starts: int64 ``[N]``, where in ``text`` each path begins.
        ends: int64 ``[N]``, where it ends.
        labels: int32 ``[N]``.
        class_names: name of each label.
    """

    root: str
    text: bytes
    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    @classmethod
    def of_classes(
        cls, root: str | os.PathLike, paths_of_class: Iterable[list[bytes]], class_names: tuple[str, ...]
    ) -> "Samples":
        """Samples from the relative paths of class 0, of class 1, and so on."""
        texts, lengths, counts = [], [np.zeros(0, np.int64)], []
        for paths in paths_of_class:
            texts.append(b"".join(paths))
            lengths.append(np.array([len(path) for path in paths], np.int64))
            counts.append(len(paths))
        lengths = np.concatenate(lengths)
        ends = np.cumsum(lengths)
        labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return cls(os.fspath(root), b"".join(texts), ends - lengths, ends, labels, tuple(class_names))

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, index: int) -> str:
        """Full path of one sample; a name that is not UTF-8 keeps its bytes, as ``os.fsdecode`` has it."""
        return os.fsdecode(os.path.join(os.fsencode(self.root), self.relative_path(index)))

    def relative_path(self, index: int) -> bytes:
        """Path of one sample from ``root``."""
        return self.text[self.starts[index] : self.ends[index]]

    def relative_paths(self, start: int, stop: int) -> list[bytes]:
        """Paths of the samples from number ``start`` to before ``stop``."""
        text, bounds = self.text, (self.starts[start:stop].tolist(), self.ends[start:stop].tolist())
        return [text[begin:end] for begin, end in zip(*bounds, strict=True)]

    def source(self, index: int) -> str | bytes:
        """What the image of one sample is decoded from: a path, or the content."""
        return self.path(index)

    def size(self, index: int) -> int:
        """Bytes of the file of one sample.

        Raises:
            OSError: it cannot be read.
        """
        return os.stat(self.path(index)).st_size

    def stamp(self, index: int) -> tuple[int, ...]:
        """What changes when the file of one sample does: its size, and when it was written.

        Raises:
            OSError: it cannot be read.
        """
        status = os.stat(self.path(index))
        return status.st_size, status.st_mtime_ns

    def tail(self, index: int, count: int) -> bytes:
        """The last bytes of the file of one sample, or what else is known of its content without reading all of it.

        Raises:
            OSError: it cannot be read.
        """
        with open_regular(self.path(index)) as file:
            return os.pread(file.fileno(), count, max(0, os.fstat(file.fileno()).st_size - count))

    def is_there(self) -> bool:
        """Whether the files can still be got at: where they cannot, none of them is bad."""
        return os.path.isdir(self.root)

    def label(self, index: int) -> int:
        """Label of one sample, ``0 <= label < num_classes``."""
        return int(self.labels[index])

    def target(self, index: int) -> np.int64 | np.ndarray:
        """What a loss is told of one sample: its label."""
        return np.int64(self.labels[index])

    def codes(self) -> np.ndarray:
        """A number for what is said of each sample, int32 ``[N]``: its label."""
        return self.labels

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def subset(self, indices: np.ndarray) -> Self:
        """Some of the samples, in the order of ``indices``."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: a[indices] for name, a in arrays.items() if isinstance(a, np.ndarray)})

    def class_counts(self) -> np.ndarray:
        """Number of samples of each class, int64 ``[num_classes]``."""
        return np.bincount(self.labels, minlength=self.num_classes)


def require_samples_in_every_class(samples: Samples, where: str, advice: str) -> None:
    """Refuse a data set that has a class without a sample.

    Raises:
        UserError: names the first empty classes, ``where`` they were looked for, and ``advice``.
    """
    empty = np.flatnonzero(samples.class_counts() == 0)
    if len(empty):
        lines = [f"class {label} '{samples.class_names[label]}'" for label in empty[:5]]
        raise UserError(
            f"{len(empty):,} of {samples.num_classes:,} classes have no image in {where}:\n"
            f"{bullet_list(lines, len(empty))}\n{advice}"
        )


def in_classes(samples: Samples, class_names: tuple[str, ...], where: str) -> Samples:
    """The same samples with labels that count ``class_names``, matched by name.

    Raises:
        UserError: there are samples of other classes; names the first.
    """
    if samples.class_names == class_names:
        return samples
    label_of = {name: label for label, name in enumerate(class_names)}
    new_labels = np.array([label_of.get(name, -1) for name in samples.class_names], np.int32)[samples.labels]
    counts = np.bincount(samples.labels[new_labels < 0], minlength=samples.num_classes)
    unknown = np.flatnonzero(counts)
    if len(unknown):
        names = [samples.class_names[label] for label in unknown]
        lines = [
            f"'{n}' ({counts[i]:,}).{close_matches(n, class_names)}" for i, n in zip(unknown[:5], names, strict=False)
        ]
        raise UserError(
            f"{counts.sum():,} of {len(samples):,} pictures of {where} are of classes that the model does not have:\n"
            f"{bullet_list(lines, len(unknown))}\n"
            f"It has {len(class_names):,}: {', '.join(class_names[:10])}{', ...' if len(class_names) > 10 else ''}. "
            "Rename those classes to the model's, or leave their pictures out."
        )
    return replace(samples, labels=new_labels, class_names=tuple(class_names))


def require_directory(root: str | os.PathLike | None, setting: str) -> Path:
    """The directory as a path.

    Args:
        setting: the config key that holds it, for the message.

    Raises:
        UserError: it is not given, missing, or not a directory.
    """
    if root is None or not os.fspath(root):
        raise UserError(f"No data directory is given. Set {setting} to the directory with your images.")
    path = Path(root)
    if not path.exists():
        raise UserError(
            f"The data directory {printable(path.absolute())} does not exist. Set {setting} to an existing "
            f"directory.{advice_on_form(path)}"
        )
    if not path.is_dir():
        raise UserError(
            f"{printable(path.absolute())} is not a directory. Set {setting} to the directory with your images."
        )
    return path
