"""The samples of a split from files that hold many images each: whatever gives an index of them."""

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from imgcls.data.formats.class_names import default_class_names, display_names
from imgcls.data.formats.folder import refuse_other_classes
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.formats.packed import PackedSamples
from imgcls.data.formats.samples import in_classes, require_samples_in_every_class
from imgcls.data.formats.tar_index import ShardIndex
from imgcls.data.paths import printable
from imgcls.errors import UserError

ReadSplit = Callable[[str], tuple[ShardIndex, str | os.PathLike]]
"""From a split to the index of its images and the directory that holds them."""


def labelled_shards(
    root: str | os.PathLike,
    split: str,
    read: ReadSplit,
    has_training: bool,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    allow_empty_classes: bool,
    left_out: LeftOut | None,
) -> PackedSamples:
    """The samples of a split whose labels are numbers or names beside the images.

    Args:
        has_training: ``read`` can give those of training, which say what validation may have.
        class_names: what numbers count, and which names there can be.

    Raises:
        UserError: of train and val only one has names, a label is out of range, a name is no class, or a class has no
            image.
    """
    index, directory = read(split)
    if left_out is not None:
        left_out.add(index.left_out)
    of_training = read("train")[0] if split != "train" and has_training else index
    if (index.folders is None) != (of_training.folders is None):
        raise UserError(f"Of train and val in {printable(root)}, only one has numbers as labels, the other has names.")
    if index.folders is None:
        if num_classes is None and class_names is None:
            num_classes = int(of_training.classes.max()) + 1
        return shard_samples(index, directory, class_names, num_classes, allow_empty_classes)
    samples = shard_samples(index, directory, None, None, allow_empty_classes=True)
    if of_training is not index and (class_names is None or set(index.folders) <= set(of_training.folders)):
        samples = in_classes(samples, of_training.folders, printable(root))
    samples = replace(samples, class_names=display_names(samples.class_names))
    if class_names is not None:
        samples = in_classes(samples, class_names, printable(root))
    if not allow_empty_classes:
        require_samples_in_every_class(samples, printable(root), "Add images, or set data.allow_empty_classes=true.")
    return samples


def shard_samples(
    index: ShardIndex,
    root: str | os.PathLike,
    class_names: tuple[str, ...] | None = None,
    num_classes: int | None = None,
    allow_empty_classes: bool = False,
) -> PackedSamples:
    """The images of an index of the shards in ``root`` as samples.

    Args:
        class_names: those of the labels. Where the members' directories are the classes, these must
            be among them.
        num_classes: where labels are numbers: these are checked against it. The number of
            ``class_names``, or else the largest label plus one, when left out.
        allow_empty_classes: accept classes without an image.

    Raises:
        UserError: other classes than ``class_names``, a label out of range, or a class without an image.
    """
    where = printable(root)
    if index.folders is None:
        num_classes = num_classes or (len(class_names) if class_names else int(index.classes.max()) + 1)
        if index.classes.max() >= num_classes:
            raise UserError(
                f"The shards of {where} have the label {index.classes.max()}, which is outside 0 to "
                f"{num_classes - 1} ({num_classes} classes)."
            )
        class_names = class_names or default_class_names(num_classes)
        labels = index.classes
    else:
        class_names = class_names or index.folders
        refuse_other_classes(where, index.folders, class_names)
        label_of = {name: label for label, name in enumerate(class_names)}
        labels = np.array([label_of[folder] for folder in index.folders], np.int32)[index.classes]
    ends = np.cumsum(index.lengths, dtype=np.int64)
    samples = PackedSamples(
        os.fspath(root),
        index.names,
        ends - index.lengths,
        ends,
        labels,
        tuple(class_names),
        index.shards,
        index.shard_of,
        index.offsets,
        index.sizes,
    )
    if not allow_empty_classes:
        require_samples_in_every_class(samples, where, "Add images, or set data.allow_empty_classes=true.")
    return samples
