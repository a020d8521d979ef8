"""Which of some directories is that of a split."""

from collections.abc import Collection

from imgcls.data.choices import NAMES_OF_SPLIT, SPLIT_FOLDERS


def are_splits(folders: Collection[str]) -> bool:
    """Whether directories of these names are splits, and none is a class."""
    return {name.casefold() for name in folders} <= SPLIT_FOLDERS


def folder_of_split(folders: Collection[str], split: str) -> str | None:
    """The directory called as the split, or in another usual way where there are no classes beside it."""
    if split in folders:
        return split
    found = named_as(folders, split)
    return found[0] if len(found) == 1 and are_splits(folders) else None


def named_as(folders: Collection[str], split: str) -> list[str]:
    """All that are called as the split in one of the usual ways."""
    return [name for name in folders if name.casefold() in NAMES_OF_SPLIT[split]]
