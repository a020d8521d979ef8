"""From the settings of a data set to its samples."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from imgcls.data.choices import SPLITS
from imgcls.data.formats.class_names import class_name, default_class_names, read_class_map
from imgcls.data.formats.folder import class_folders, read_folder
from imgcls.data.formats.list_file import read_list
from imgcls.data.formats.samples import Samples, require_directory
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.formats.tar import TarSamples, tar_samples
from imgcls.data.formats.tar_index import LIST, read_index
from imgcls.data.paths import printable
from imgcls.errors import UserError, close_matches

FORMATS = ("folder", "list", "tar", "sample", "synthetic")
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
) -> Samples:
    """The samples of one split.

    Args:
        format: ``folder`` (``root/train`` and ``root/val``, a directory per class in each), ``list``
            (lists of ``path label`` lines), ``tar`` (tar files in ``root/train`` and ``root/val``),
            ``sample`` (the bundled photos) or ``synthetic``.
        train_list: list file, relative to the working directory or to ``root``; ``train_list.txt`` when left out.
        val_list: likewise, ``val_list.txt``.
        class_map: file of lines ``index name``, see ``read_class_map``.
        num_classes: what the data must have; taken from the data when left out.
        split: ``train`` or ``val``. Classes without an image are accepted in ``val``.
        class_names: names the data must have, in order of the label (those of a checkpoint); used
            in place of ``class_map``.
        check_files: which files of a list must exist, see ``read_list``.
        allow_empty_classes: accept classes without an image in ``train`` too.
        num_samples: size of a synthetic data set.
        on_wrong_line: called for wrong lines of the split's list, see ``read_list``.

    Raises:
        UserError: see ``read_folder``, ``read_list``, ``read_index`` and ``tar_samples``; or the class
            count differs from ``num_classes``.
    """
    if format not in FORMATS:
        raise UserError(
            f"There is no data format '{format}'.{close_matches(str(format), FORMATS)} It can be {', '.join(FORMATS)}."
        )
    if split not in SPLITS:
        raise UserError(f"There is no split '{split}'; it can be {' or '.join(SPLITS)}.")
    if num_classes is not None and num_classes < 1:
        raise UserError(f"model.num_classes is {num_classes}; it must be 1 or more.")
    if class_names is None and class_map is not None:
        class_names = read_class_map(class_map)
    if class_names is not None:
        class_names = tuple(map(class_name, class_names))
        require_class_count(
            num_classes, len(class_names), f"the class map {class_map}" if class_map else "the checkpoint"
        )
    allow_empty_classes = allow_empty_classes or split == "val"

    if format == "synthetic":
        return synthetic_samples(num_samples, num_classes or len(class_names or ()) or 10)
    if format == "list":
        lists = {"train": train_list, "val": val_list}
        options = (check_files, allow_empty_classes, on_wrong_line)
        return _from_lists(root, lists, split, num_classes, class_names, *options)
    root = SAMPLE_PHOTOS if format == "sample" else require_directory(root, "data.root")
    if format == "tar":
        samples = _from_shards(root, split, num_classes, class_names, allow_empty_classes)
    else:
        samples = _from_folders(root, split, class_names, allow_empty_classes)
    require_class_count(num_classes, samples.num_classes, f"{printable(root)}")
    return samples


def _from_folders(root: Path, split: str, class_names: tuple[str, ...] | None, allow_empty_classes: bool) -> Samples:
    directory, training = _directories(root, split, "folder", "<class name>/<image>")
    folders = class_folders(training)
    display = _display_names(folders)
    if class_names in (None, display):
        return replace(read_folder(directory, folders, allow_empty_classes), class_names=display)
    return read_folder(directory, class_names, allow_empty_classes)


def _from_shards(
    root: Path, split: str, num_classes: int | None, class_names: tuple[str, ...] | None, allow_empty_classes: bool
) -> TarSamples:
    directory, training = _directories(root, split, "tar", "<name>.tar")
    index = read_index(directory)
    of_training = index if training == directory else read_index(training)
    if (index.folders is None) != (of_training.folders is None):
        raise UserError(f"Of train and val in {printable(root)}, only one has shards with a {printable(LIST)} in them.")
    if of_training.folders is None:
        if num_classes is None and class_names is None:
            num_classes = int(of_training.classes.max()) + 1
        return tar_samples(index, directory, class_names, num_classes, allow_empty_classes)
    display = _display_names(of_training.folders)
    if class_names in (None, display):
        samples = tar_samples(index, directory, of_training.folders, None, allow_empty_classes)
        return replace(samples, class_names=display)
    return tar_samples(index, directory, class_names, None, allow_empty_classes)


def _directories(root: Path, split: str, format: str, content: str) -> tuple[Path, Path]:
    """Of the images of a split, and of those of training, or of the split where there are none."""
    directory, training = root / split, root / "train"
    if not directory.is_dir():
        raise UserError(
            f"{printable(root)} has no directory '{split}'. The {format} format wants "
            f"{printable(root)}/train/{content} and the same below val."
        )
    return directory, training if training.is_dir() else directory


def _display_names(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders' own names; for the 1000 WordNet identifiers of ImageNet, what they stand for."""
    if len(folders) == 1000 and all(re.fullmatch(r"n\d{8}", folder) for folder in folders):
        return default_class_names(1000)
    return folders


def _from_lists(
    root: str | None,
    lists: dict[str, str | None],
    split: str,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    check_files: str,
    allow_empty_classes: bool,
    on_wrong_line: Callable[[int, str], None] | None,
) -> Samples:
    root = require_directory(root, "data.root")
    list_file = _find_list(root, lists[split], split)
    if split == "val" and num_classes is None and class_names is None:
        # The validation list may lack the last classes; the training list says how many there are.
        training = _find_list(root, lists["train"], "train")
        ignored = on_wrong_line and (lambda number, fault: None)
        num_classes = read_list(root, training, None, None, "none", True, ignored).num_classes
    return read_list(root, list_file, num_classes, class_names, check_files, allow_empty_classes, on_wrong_line)


def _find_list(root: Path, given: str | None, split: str) -> Path:
    candidates = [Path(given), root / given] if given else [root / f"{split}_list.txt"]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        tried = " or ".join(printable(path.absolute()) for path in dict.fromkeys(candidates))
        raise UserError(f"There is no list of the {split} images at {tried}. Set data.{split}_list.")
    return found


def require_class_count(num_classes: int | None, found: int, where: str) -> None:
    """Refuse another number of classes than ``num_classes``, if that is given.

    Raises:
        UserError: naming both.
    """
    if num_classes is not None and num_classes != found:
        raise UserError(
            f"model.num_classes is {num_classes}, but {where} has {found} classes. "
            "Leave model.num_classes out to take the number from the data."
        )
