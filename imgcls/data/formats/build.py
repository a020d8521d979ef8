"""From the settings of a data set to its samples."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from imgcls.data.choices import FILES, MULTI_LABEL, NUMBERED, REMOTE, SHARED, SPLITS
from imgcls.data.formats import hugging_face, webdataset
from imgcls.data.formats.class_names import class_name, display_names, read_class_map
from imgcls.data.formats.folder import class_folders, read_folder
from imgcls.data.formats.image_files import LeftOut
from imgcls.data.formats.lists import has_list, samples_of_lists, samples_of_tag_lists
from imgcls.data.formats.remote import has_remote_split, remote_samples
from imgcls.data.formats.remote_zip import fetched
from imgcls.data.formats.samples import Samples, in_classes, require_directory, require_samples_in_every_class
from imgcls.data.formats.shards import labelled_shards, shard_samples
from imgcls.data.formats.share import folds_of, kept_for_validation
from imgcls.data.formats.splits import are_splits, folder_of_split, named_as
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.formats.table_list import Columns, is_table
from imgcls.data.formats.tags import in_tags, merge_folders
from imgcls.data.formats.tar_index import LIST, read_index
from imgcls.data.formats.zip_folders import has_zip_split, zip_samples
from imgcls.data.paths import printable
from imgcls.errors import UserError, close_matches
from imgcls.machine.store import Store

FORMATS = (*FILES, "sample", "synthetic")
LABELLED = {"webdataset": webdataset, "huggingface": hugging_face}
"""Formats whose files hold labels beside the images: modules with ``index_of`` and ``has_split``."""

SAMPLE_PHOTOS = Path(__file__).parents[2] / "assets" / "sample_photos"


def build_samples(
    format: str,
    root: str | None = None,
    train_list: str | None = None,
    val_list: str | None = None,
    class_map: str | None = None,
    num_classes: int | None = None,
    split: str = "train",
    class_names: tuple[str, ...] | None = None,
    check_files: str = "auto",
    allow_empty_classes: bool = False,
    num_samples: int = 1024,
    on_wrong_line: Callable[[int, str], None] | None = None,
    left_out: LeftOut | None = None,
    val_share: float | None = None,
    val_seed: int = 0,
    num_classes_key: str = "model.num_classes",
    multi_label: bool = False,
    columns: Columns | None = None,
    folds: int | None = None,
    fold: int | None = None,
    store: Store | None = None,
) -> Samples:
    """The samples of one split.

    Args:
        format: ``folder`` (``root/train`` and ``root/val``, a directory per class in each), ``list``
            (lists of ``path label`` lines, or tables), ``tar`` (tar files in ``root/train`` and ``root/val``),
            ``webdataset``, ``zip``, ``huggingface`` (see the modules of these names), ``sample`` (the bundled
            photos) or ``synthetic``.
        train_list: list file, relative to the working directory or to ``root``; ``train_list.txt`` when left out.
        val_list: likewise, ``val_list.txt``.
        class_map: file of lines ``index name``, see ``read_class_map``.
        num_classes: what the data must have; taken from the data when left out.
        split: ``train`` or ``val``. Classes without an image are accepted in ``val``.
        class_names: names the data must have, in order of the label (those of a checkpoint). ``class_map`` then
            says what the labels of lists mean, and the classes are matched by name.
        check_files: which files of a list must exist, see ``read_list``.
        allow_empty_classes: accept classes without an image in ``train`` too.
        num_samples: size of a synthetic data set.
        on_wrong_line: called for wrong lines of the split's list, see ``read_list``.
        left_out: takes note of the split's files that are no images, see ``image_files``.
        val_share: take this share of each class for validation, from the class directories of ``root`` (or
            ``root/train``), the training list or the training shards; 0 for none.
        val_seed: decides which ones, see ``kept_for_validation`` and ``folds_of``.
        num_classes_key: where ``num_classes`` was set, for messages.
        multi_label: samples have any number of classes: ``TaggedSamples``, from a list of ``path 0,3,7`` lines, a CSV
            file, or folders in which a picture lies once for each of its tags.
        columns: of tables, WebDataset and Hugging Face: where images and labels are.
        folds: divide the training samples into so many parts, and take number ``fold`` for validation.
        store: in place of ``root``, where the files lie.

    Raises:
        UserError: see ``read_folder``, ``read_list``, ``read_index`` and ``shard_samples``; or the class
            count differs from ``num_classes``.
    """
    if format not in FORMATS:
        raise UserError(
            f"There is no data format '{format}'.{close_matches(str(format), FORMATS)} It can be {', '.join(FORMATS)}."
        )
    if split not in SPLITS:
        raise UserError(f"There is no split '{split}'; it can be {' or '.join(SPLITS)}.")
    if num_classes is not None and num_classes < 1:
        raise UserError(f"{num_classes_key} is {num_classes}; it must be 1 or more.")
    if multi_label and format not in MULTI_LABEL:
        raise UserError(f"data.multi_label=true is for data={', data='.join(MULTI_LABEL)}, not for data={format}.")
    if val_share and format not in SHARED:
        raise UserError(f"data.val_share={val_share} is for data={' and data='.join(SHARED)}; leave it out.")
    if folds is not None and (format not in SHARED or fold is None or not 0 <= fold < folds):
        raise UserError(f"data.folds={folds} is for data={' and data='.join(SHARED)}, with data.fold=0 to {folds - 1}.")
    if class_names is not None:
        class_names = tuple(map(class_name, class_names))
    names_of_labels = class_names
    if class_map is not None and (class_names is None or format in NUMBERED):
        names_of_labels = read_class_map(class_map)
        require_class_count(num_classes, len(names_of_labels), f"the class map {class_map}", num_classes_key)
    elif class_names is not None:
        require_class_count(num_classes, len(class_names), "the checkpoint", num_classes_key)
    allow_empty_classes = allow_empty_classes or split == "val"
    columns = columns or Columns()
    asked, divides = split, bool(val_share) or folds is not None
    if divides:
        split = "train"  # of which both are parts

    if format == "synthetic":
        samples = synthetic_samples(num_samples, num_classes or len(names_of_labels or ()) or 10)
        return replace(samples, class_names=names_of_labels) if names_of_labels else samples
    if store is not None and (format not in REMOTE or multi_label):
        raise UserError(
            f"{printable(store.root)}: data={format}{' data.multi_label=true' * multi_label} is for a directory. "
            f"At an address there can be data={', data='.join(REMOTE)}."
        )
    if store is not None and format == "zip":
        root, store = str(fetched(store)), None
    if store is not None:
        lists = {"train": train_list, "val": val_list}
        options = (allow_empty_classes, left_out, columns, on_wrong_line)
        if val_share and has_remote_split(store, format, lists, "val"):
            raise UserError(f"{printable(store.root)} is divided already: leave data.val_share out.")
        places = {"divides": divides, "known": class_names is not None or val_share is not None}
        samples = remote_samples(store, format, split, lists, num_classes, names_of_labels, *options, **places)
        require_class_count(num_classes, samples.num_classes, printable(store.root), num_classes_key)
    elif format == "list" and multi_label:
        lists = {"train": train_list, "val": val_list}
        options = (check_files, on_wrong_line)
        samples = samples_of_tag_lists(root, lists, split, num_classes, names_of_labels, val_share, *options)
        require_class_count(num_classes, samples.num_classes, printable(samples.root), num_classes_key)
        if not allow_empty_classes:
            advice = "Add images, or set data.allow_empty_classes=true."
            require_samples_in_every_class(samples, printable(samples.root), advice)
    elif format == "list":
        lists = {"train": train_list, "val": val_list}
        options = (check_files, allow_empty_classes, on_wrong_line)
        samples = samples_of_lists(root, lists, split, num_classes, names_of_labels, val_share, columns, *options)
        if is_table(samples_list := lists["train"] or ""):
            require_class_count(num_classes, samples.num_classes, printable(samples_list), num_classes_key)
    else:
        root = SAMPLE_PHOTOS if format == "sample" and root is None else _root(root, format)
        options = (allow_empty_classes, left_out)
        if val_share and format in ("tar", *LABELLED) and has_split(format, root, None, "val"):
            raise UserError(f"{printable(root)} has pictures for 'val' already: leave data.val_share out.")
        if format == "tar":
            samples = _from_shards(root, split, num_classes, names_of_labels, *options)
        elif format == "zip":
            samples = _from_zip(root, split, divides or val_share is not None, names_of_labels, val_share, *options)
        elif format in LABELLED:
            named = LABELLED[format]
            read = partial(named.index_of, root, columns=columns)
            samples = labelled_shards(
                root, split, read, named.has_split(root, "train"), num_classes, names_of_labels, *options
            )
        else:
            samples = _from_folders(root, split, names_of_labels, *options, val_share, folds is not None)
        require_class_count(num_classes, samples.num_classes, printable(root), num_classes_key)
        samples = merge_folders(samples) if multi_label else samples
    if class_names is not None:
        samples = (in_tags if multi_label else in_classes)(samples, class_names, printable(samples.root))
    if not divides:
        return samples
    if folds is None:
        kept = kept_for_validation(samples, val_share, val_seed)
    else:
        kept = folds_of(samples, folds, val_seed, allow_empty_classes) == fold
    return samples.subset(np.flatnonzero(kept if asked == "val" else ~kept))


def _root(root: str | None, format: str) -> Path:
    if format == "zip" and root is not None and Path(root).is_file():
        return Path(root)
    return require_directory(root, "data.root")


def _from_folders(
    root: Path,
    split: str,
    class_names: tuple[str, ...] | None,
    allow_empty_classes: bool,
    left_out: LeftOut | None,
    val_share: float | None,
    in_folds: bool,
) -> Samples:
    if val_share or in_folds:
        directory = training = _undivided(root, in_folds)
    else:
        known = class_names is not None or val_share is not None  # what the directories mean
        directory, training = _directories(root, split, "folder", "<class name>/<image>", known)
    folders = class_folders(training)
    display = display_names(folders)
    if class_names in (None, display):
        return replace(read_folder(directory, folders, allow_empty_classes, left_out), class_names=display)
    return read_folder(directory, class_names, allow_empty_classes, left_out)


def _undivided(root: Path, in_folds: bool) -> Path:
    """Where the class directories are that ``data.val_share`` divides; folds leave ``val`` aside."""
    folders = class_folders(root)
    training, of_val = folder_of_split(folders, "train"), named_as(folders, "val")
    if not are_splits(folders) or not (training or of_val):
        return root
    if of_val and not in_folds:
        raise UserError(
            f"{printable(root)} has a directory '{of_val[0]}' already: leave data.val_share out. It is for class "
            "directories that are not divided."
        )
    return root / (training or "train")


def split_folder(root: Path, split: str) -> Path:
    """The directory of a split: of its name, or of another that is usual, where there are no classes beside it."""
    return root / (folder_of_split(class_folders(root), split) or split)


def _from_zip(
    root: Path,
    split: str,
    undivided: bool,
    class_names: tuple[str, ...] | None,
    val_share: float | None,
    allow_empty_classes: bool,
    left_out: LeftOut | None,
) -> Samples:
    if val_share and has_zip_split(root, "val"):
        raise UserError(f"{printable(root)} has a directory 'val' already: leave data.val_share out.")
    options = (allow_empty_classes, left_out)
    samples = zip_samples(root, split, undivided or class_names is not None, class_names, *options)
    return replace(samples, class_names=display_names(samples.class_names)) if class_names is None else samples


def _from_shards(
    root: Path,
    split: str,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    allow_empty_classes: bool,
    left_out: LeftOut | None,
) -> Samples:
    directory, training = _directories(root, split, "tar", "<name>.tar")
    index = read_index(directory)
    if left_out is not None:
        left_out.add(index.left_out)
    of_training = index if training == directory else read_index(training)
    if (index.folders is None) != (of_training.folders is None):
        raise UserError(f"Of train and val in {printable(root)}, only one has shards with a {printable(LIST)} in them.")
    if of_training.folders is None:
        if num_classes is None and class_names is None:
            num_classes = int(of_training.classes.max()) + 1
        return shard_samples(index, directory, class_names, num_classes, allow_empty_classes)
    display = display_names(of_training.folders)
    if class_names in (None, display):
        samples = shard_samples(index, directory, of_training.folders, None, allow_empty_classes)
        return replace(samples, class_names=display)
    return shard_samples(index, directory, class_names, None, allow_empty_classes)


def _directories(root: Path, split: str, format: str, content: str, undivided: bool = False) -> tuple[Path, Path]:
    """Of the images of a split, and of those of training, or of the split where there are none.

    Args:
        undivided: ``root`` itself will do, where it has neither split.
    """
    directory, training = split_folder(root, split), split_folder(root, "train")
    if not directory.is_dir():
        if undivided and not are_splits(class_folders(root)):
            return root, root
        advice = f"The {format} format wants {printable(root)}/train/{content} and the same below val."
        if format == "folder":
            advice += (
                "\nOr leave the classes undivided: data.val_share=0.2 takes a fifth of each for validation, "
                "data.val_share=0 none (in training with trainer.eval_every=0)."
            )
        raise UserError(f"{printable(root)} has no directory '{split}'. {advice}")
    return directory, training if training.is_dir() else directory


def has_split(format: str, root: str | None, val_list: str | None, split: str, store: Store | None = None) -> bool:
    """Whether the data is divided already: it has a directory, or for ``list`` a list, of this split."""
    if store is not None and format == "zip":
        return has_zip_split(fetched(store), split)
    if store is not None:
        return has_remote_split(store, format, {"train": None, "val": val_list}, split)
    root = _root(root, format)
    if format in LABELLED:
        return LABELLED[format].has_split(root, split)
    if format == "zip":
        return has_zip_split(root, split)
    if format == "list":
        return has_list(root, val_list, split)
    return split_folder(root, split).is_dir()


def require_class_count(num_classes: int | None, found: int, where: str, key: str = "model.num_classes") -> None:
    """Refuse another number of classes than ``num_classes``, if that is given.

    Args:
        key: where the number was set.

    Raises:
        UserError: naming both.
    """
    if num_classes is not None and num_classes != found:
        raise UserError(
            f"{key} is {num_classes}, but {where} has {found} classes. "
            f"Leave {key} out to take the number from the data."
        )
