"""Lists and tables of a data set in a directory: where they are, and their samples."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imgcls.data.formats.class_names import default_class_names
from imgcls.data.formats.list_file import CHECK_ALL_UP_TO, read_list
from imgcls.data.formats.samples import Samples, require_directory
from imgcls.data.formats.table_list import Columns, is_table, names_of, read_table, table_samples
from imgcls.data.formats.tag_list import TagLines, read_tag_list
from imgcls.data.formats.tags import TaggedSamples, tagged
from imgcls.data.paths import bullet_list, printable
from imgcls.errors import UserError

NAMES_FROM = "Set data.train_list, or data.num_classes to the number of classes."


def samples_of_lists(
    root: str | None,
    lists: dict[str, str | None],
    split: str,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    val_share: float | None,
    columns: Columns,
    check_files: str,
    allow_empty_classes: bool,
    on_wrong_line: Callable[[int, str], None] | None,
) -> Samples:
    """The samples of a split of ``data=list``: of lines ``path label``, or of a table; see ``build_samples``."""
    root = require_directory(root, "data.root")
    if columns.split is None:
        _require_undivided(root, lists, val_share)
    list_file = _find_list(root, lists["train" if columns.split else split], split)
    if columns.split and not is_table(list_file):
        raise UserError(
            f"data.split_column={columns.split} is for a table: data.train_list=<name>.csv holds both splits."
        )
    if is_table(list_file):
        table = read_table(list_file, columns, split, on_wrong_line)
        if class_names is None and split == "val":
            training = list_file if columns.split else _find_list(root, lists["train"], "train", NAMES_FROM)
            ignored = on_wrong_line and (lambda number, fault: None)
            class_names = names_of(read_table(training, columns, "train", ignored), num_classes)
        return table_samples(root, table, num_classes, class_names, check_files, allow_empty_classes, on_wrong_line)
    if split == "val" and num_classes is None and class_names is None:
        # The validation list may lack the last classes; the training list says how many there are.
        training = _find_list(root, lists["train"], "train", NAMES_FROM)
        ignored = on_wrong_line and (lambda number, fault: None)
        num_classes = read_list(root, training, None, None, "none", True, ignored).num_classes
    return read_list(root, list_file, num_classes, class_names, check_files, allow_empty_classes, on_wrong_line)


def _require_undivided(root: Path, lists: dict[str, str | None], val_share: float | None) -> None:
    if val_share and lists["val"] and any(map(Path.is_file, _places(root, lists["val"], here=True))):
        raise UserError(
            f"data.val_share={val_share} divides the training list, but there is {printable(lists['val'])} too. "
            "Leave data.val_share out, or set data.val_list=null."
        )


def samples_of_tag_lists(
    root: str | None,
    lists: dict[str, str | None],
    split: str,
    num_classes: int | None,
    class_names: tuple[str, ...] | None,
    val_share: float | None,
    check_files: str,
    on_wrong_line: Callable[[int, str], None] | None,
) -> TaggedSamples:
    """The same with any number of classes a sample."""
    root = require_directory(root, "data.root")
    _require_undivided(root, lists, val_share)
    list_file = _find_list(root, lists[split], split)
    ignored = on_wrong_line and (lambda number, fault: None)
    if class_names is None and split == "val":
        # The validation list may lack the last classes; the training list says which there are.
        training = read_tag_list(_find_list(root, lists["train"], "train", NAMES_FROM), num_classes, None, ignored)
        class_names = _names_of_tags(training, num_classes)
    counted = len(class_names) if class_names else num_classes
    read = read_tag_list(list_file, counted, class_names, on_wrong_line)
    if check_files != "none":
        places = np.linspace(0, len(read.paths) - 1, min(len(read.paths), CHECK_ALL_UP_TO)).astype(int).tolist()
        missing = [place for place in places if not (root / os.fsdecode(read.paths[place])).is_file()]
        if missing:
            lines = [
                f"line {read.numbers[place]}: {printable(root)}/{printable(read.paths[place])}" for place in missing
            ]
            raise UserError(
                f"{len(missing):,} of {len(places):,} files of the list {printable(list_file)} do not exist:\n"
                f"{bullet_list(lines[:5], len(lines))}\nPaths in the list are relative to data.root; is it right?"
            )
    return tagged(os.fspath(root), read.paths, read.tags, class_names or _names_of_tags(read, num_classes))


def _names_of_tags(read: TagLines, num_classes: int | None) -> tuple[str, ...]:
    if read.names is not None:
        return read.names
    return default_class_names(num_classes or max((max(tags) for tags in read.tags if tags), default=0) + 1)


def _find_list(root: Path, given: str | None, split: str, advice: str | None = None) -> Path:
    candidates = _places(root, given or f"{split}_list.txt", given is not None)
    found = next(filter(Path.is_file, candidates), None)
    if found is None:
        tried = " or ".join(printable(path.absolute()) for path in candidates)
        raise UserError(f"There is no list of the {split} images at {tried}. {advice or f'Set data.{split}_list.'}")
    return found


def _places(root: Path, name: str, here: bool) -> tuple[Path, ...]:
    """Where a list can be: below ``root``, and first in the working directory if ``here``."""
    return tuple(dict.fromkeys([*([Path(name)] if here else []), root / name]))


def has_list(root: Path, given: str | None, split: str) -> bool:
    """Whether there is a list of this split, or that which is ``given`` for it."""
    return any(map(Path.is_file, _places(root, given or f"{split}_list.txt", given is not None)))
