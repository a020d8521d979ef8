"""Which files of a data set of Hugging Face are those of a split, wherever they lie."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.machine.reading import read_json

NAMES = {"train": ("train",), "val": ("validation", "valid", "val", "dev")}
"""What a split may be called."""

STATE, PARQUET = "state.json", ".parquet"
WORDS = re.compile(r"[a-z]+")
DEEPEST = 2


class Tree(Protocol):
    """Where the files of a data set lie, whose names have slashes between directories."""

    shown: str

    def names(self) -> Iterable[str]:
        """All that ``is_wanted``, in at most ``DEEPEST`` directories in one another."""

    def content(self, name: str) -> object:
        """What a JSON file holds."""


@dataclass(frozen=True)
class Directory:
    """A tree of this machine."""

    root: Path

    @property
    def shown(self) -> str:
        return printable(self.root)

    def names(self) -> Iterator[str]:
        for depth in range(DEEPEST + 1):
            for path in self.root.glob("*/" * depth + "*"):
                name = path.relative_to(self.root).as_posix()
                if is_wanted(name) and path.is_file():
                    yield name

    def content(self, name: str) -> object:
        return read_json(self.root / name)


def is_wanted(name: str) -> bool:
    """Whether a file below the directory of a data set may be one of it, or name those that are."""
    *directories, own = name.split("/")
    if own == STATE:
        return len(directories) < DEEPEST
    return own.endswith(PARQUET) and not any(part.startswith(".") for part in (*directories, own))


def files_of(tree: Tree, split: str) -> list[str]:
    """The names of a split's files, in the order of their rows."""
    every = _all_files(tree)
    of_split = {name: _split_of(name) for name in every}
    if split == "train" and not any(of_split.values()):
        return every
    return [name for name, found in of_split.items() if found in NAMES[split]]


def no_split(tree: Tree, split: str) -> UserError:
    """What there is to say where there is none."""
    found = sorted({name for file in _all_files(tree) if (name := _split_of(file))})
    has = f" It has {', '.join(found)}." if found else ""
    return UserError(
        f"{tree.shown} has no split for '{split}', which may be called {' or '.join(NAMES[split])}.{has} "
        "data=huggingface reads what save_to_disk wrote, or files such as data/train-00000-of-00001.parquet. "
        "data.val_share=0.2 takes a fifth of the training pictures for validation."
    )


def is_parquet(names: Sequence[str]) -> bool:
    """Whether they are parquet files, and not Arrow's."""
    return names[0].endswith(PARQUET)


def _all_files(tree: Tree) -> list[str]:
    """Arrow files that a state.json names, or else parquet files; sorted by directory and name."""
    found = sorted(tree.names(), key=lambda name: name.split("/"))
    states = [name for name in found if name.rpartition("/")[2] == STATE]
    return [file for state in states for file in _named_in(tree, state)] if states else found


def _named_in(tree: Tree, state: str) -> list[str]:
    content, where = tree.content(state), f"{tree.shown}/{printable(state)}"
    try:
        names = [entry["filename"] for entry in content["_data_files"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} names no files of a data set.") from error
    if not all(isinstance(name, str) and name.endswith(".arrow") and not {"/", "\0"} & set(name) for name in names):
        raise UserError(f"{where} names files that are none of a data set.")
    return [f"{state.removesuffix(STATE)}{name}" for name in names]


def _split_of(name: str) -> str | None:
    """The name of the split in a file's path; the last one that is there."""
    known = {*NAMES["train"], *NAMES["val"], "test"}
    words = WORDS.findall(name.lower())
    return next((word for word in reversed(words) if word in known), None)
