"""Write the lists that data=list reads, from a tree with a directory per class.

    python scripts/make_list.py photos                    photos/train/<class>/... and photos/val/<class>/...
    python scripts/make_list.py photos --val-share 0.2    photos/<class>/..., a fifth of each class to val

Makes train_list.txt and val_list.txt of lines "path label", paths relative to the tree, and
classes.txt of lines "label name" for data.class_map. Labels number the class names in sorted order.
"""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from imgcls.data.choices import SPLITS
from imgcls.data.formats.folder import class_folders, read_folder
from imgcls.data.formats.samples import Samples, require_directory
from imgcls.data.paths import printable
from imgcls.errors import USER_ERROR_STATUS, UserError
from imgcls.machine.signals import status_of
from imgcls.machine.streams import prepare_streams


def main(arguments: list[str]) -> int:
    prepare_streams()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="the tree")
    parser.add_argument("--output", type=Path, help="where the files go; root when left out")
    parser.add_argument("--val-share", type=float, help="for a tree without train and val: share of each class for val")
    parser.add_argument("--seed", type=int, default=0, help="decides which ones")
    options = parser.parse_args(arguments)
    output = options.output or Path(options.root)
    try:
        root = require_directory(options.root, "the first argument")
        if options.val_share is None:
            lists, class_names = from_splits(root)
        else:
            lists, class_names = from_one_tree(root, options.val_share, options.seed)
        output.mkdir(parents=True, exist_ok=True)
        for split, lines in lists.items():
            (output / f"{split}_list.txt").write_bytes(b"".join(lines))
            print(f"{printable(output / f'{split}_list.txt')}: {len(lines):,} images")
        names = "".join(f"{label} {name}\n" for label, name in enumerate(class_names))
        (output / "classes.txt").write_text(names, encoding="utf-8")
        print(f"{printable(output / 'classes.txt')}: {len(class_names):,} classes")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR_STATUS
    except OSError as error:
        print(f"error: {printable(error.filename)}: {error.strerror}.", file=sys.stderr)
        return USER_ERROR_STATUS
    return 0


def from_splits(root: Path) -> tuple[dict[str, list[bytes]], tuple[str, ...]]:
    """Lines of each split, and class names, of a tree with ``train`` and ``val``."""
    missing = [split for split in SPLITS if not (root / split).is_dir()]
    if missing:
        raise UserError(
            f"{printable(root)} has no directory '{missing[0]}'. Where the class directories are right below it, say "
            "--val-share 0.2 to keep a fifth of each class for validation."
        )
    class_names = class_folders(root / "train")
    samples = {split: read_folder(root / split, class_names, allow_empty_classes=split == "val") for split in SPLITS}
    lists = {split: _lines(of_split, range(len(of_split)), split) for split, of_split in samples.items()}
    return lists, class_names


def from_one_tree(root: Path, val_share: float, seed: int) -> tuple[dict[str, list[bytes]], tuple[str, ...]]:
    """Lines of each split, and class names, of a tree whose classes are divided at random.

    Every class keeps one image for training; ``val_share`` of the rest is rounded to whole images.
    """
    if not 0 < val_share < 1:
        raise UserError(f"--val-share {val_share}: must be between 0 and 1.")
    samples = read_folder(root)
    validation = np.zeros(len(samples), bool)
    for label in range(samples.num_classes):
        own = np.flatnonzero(samples.labels == label)
        count = min(round(val_share * len(own)), len(own) - 1)
        validation[np.random.default_rng([seed, label]).permutation(own)[:count]] = True
    if not validation.any():
        raise UserError(f"--val-share {val_share}: no class of {printable(root)} has so many images.")
    lists = {
        "train": _lines(samples, np.flatnonzero(~validation)),
        "val": _lines(samples, np.flatnonzero(validation)),
    }
    return lists, samples.class_names


def _lines(samples: Samples, indices: Iterable[int], prefix: str = "") -> list[bytes]:
    start = f"{prefix}/".encode() if prefix else b""
    lines = [b"%s%s %d\n" % (start, samples.relative_path(i), samples.label(i)) for i in indices]
    broken = next((line for line in lines if line.count(b"\n") > 1 or line[:1].isspace()), None)
    if broken:
        raise UserError(f"{printable(broken)!r}: a name with a line break, or a blank before it, cannot be in a list.")
    return lines


if __name__ == "__main__":
    sys.exit(status_of(partial(main, sys.argv[1:])))
