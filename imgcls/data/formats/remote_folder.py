"""Class directories behind an address, as a service lists them."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from imgcls.data.formats.class_names import display_names, folder_of_class
from imgcls.data.formats.folder import refuse_other_classes
from imgcls.data.formats.image_files import OUTSIDE, LeftOut, is_foreign, suffixes_in_words, takes_file, takes_folder
from imgcls.data.formats.samples import Samples, require_samples_in_every_class
from imgcls.data.formats.splits import are_splits, folder_of_split, named_as
from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.machine.store import NoSuchFile, Store

DEEPEST = 32
"""Directories in one another: a server may list one that leads back."""


def folder_samples(
    store: Store,
    split: str,
    class_names: tuple[str, ...] | None,
    allow_empty_classes: bool,
    left_out: LeftOut | None,
    divides: bool = False,
    known: bool = False,
) -> tuple[Samples, Store]:
    """The images of a split as ``folder`` has them of a directory, and what their paths start from.

    Args:
        class_names: the directories that can be there, in order of the label; those of training when left out.
        divides: the images are going to be divided: class directories right below the address, or those of ``train``.
        known: class directories right below the address will do, where there is no directory of the split.

    Raises:
        UserError: no such split, other classes, a class without an image; or the service lists no files.
    """
    left_out = LeftOut() if left_out is None else left_out
    tops = set(_directories(store))
    inner = _place(store, split, divides, known, tops)
    where = printable(inner.root)
    folders = _class_folders(inner)
    if not folders:
        raise UserError(f"{where} holds no class directories. Expected {where}/<class name>/<image>.")
    is_divided = inner.root != store.root and not divides
    training = folder_of_split(tops, "train")
    of_training = _class_folders(store.below(training)) if is_divided and split != "train" and training else folders
    display = display_names(tuple(of_training))
    are_own = class_names in (None, display)
    wanted = tuple(of_training) if are_own else class_names
    refuse_other_classes(where, tuple(folders), wanted)
    _note_beside(inner, left_out)
    images = (_images_of(inner, folders.get(name), left_out) for name in wanted)
    samples = Samples.of_classes(inner.root, images, wanted)
    noted = f"\n{left_out.line()}" if left_out else ""
    if not len(samples):
        raise UserError(f"No image in the class directories of {where}; looked for {suffixes_in_words()}.{noted}")
    if not allow_empty_classes:
        advice = f"Add images, remove the directories, or set data.allow_empty_classes=true.{noted}"
        require_samples_in_every_class(samples, where, advice)
    return (replace(samples, class_names=display) if are_own else samples), inner


def has_folder(store: Store, split: str) -> bool:
    """Whether there is a directory of this split at the address."""
    return folder_of_split(_directories(store), split) is not None


def _directories(store: Store) -> list[str]:
    try:
        return [name for name, is_one in store.entries("") if is_one and not is_foreign(os.fsencode(name))]
    except NoSuchFile as error:
        raise UserError(f"data=folder wants a service that lists files: {error}. data=list does without.") from error


def _class_folders(store: Store) -> dict[str, bytes]:
    return folder_of_class(map(os.fsencode, _directories(store)), printable(store.root))


def _place(store: Store, split: str, divides: bool, known: bool, tops: set[str]) -> Store:
    """Where the class directories are."""
    if divides:
        training = folder_of_split(tops, "train")
        divided = are_splits(tops) and (training or named_as(tops, "val"))
        return store.below(training or "train") if divided else store
    if found := folder_of_split(tops, split):
        return store.below(found)
    if known and not are_splits(tops):
        return store
    where = printable(store.root)
    raise UserError(
        f"{where} has no directory '{split}'. The folder format wants {where}/train/<class name>/<image> and the same "
        "below val.\nOr leave the classes undivided: data.val_share=0.2 takes a fifth of each for validation, "
        "data.val_share=0 none (in training with trainer.eval_every=0)."
    )


def _note_beside(store: Store, left_out: LeftOut) -> None:
    """What is beside the class directories; pictures there have no class."""
    for name, is_directory in store.entries(""):
        plain = os.fsencode(name)
        if is_directory:
            takes_folder(plain, left_out)
        elif takes_file(plain, lambda: None, left_out):
            left_out.files[f"{os.path.splitext(printable(plain))[1].lower()} {OUTSIDE}"] += 1


def _images_of(store: Store, folder: bytes | None, left_out: LeftOut) -> list[bytes]:
    return [] if folder is None else sorted(_images(store, folder, left_out))


def _images(store: Store, folder: bytes, left_out: LeftOut) -> Iterator[bytes]:
    waiting = [folder + b"/"]
    while waiting:
        directory = waiting.pop()
        if directory.count(b"/") > DEEPEST:
            raise UserError(
                f"{printable(store.address(directory))} is refused: it lies in more than {DEEPEST} directories."
            )
        for name, is_directory in _listed(store, directory):
            path = directory + os.fsencode(name)
            if is_directory:
                if takes_folder(os.fsencode(name), left_out):
                    waiting.append(path + b"/")
            elif takes_file(os.fsencode(name), lambda: None, left_out):
                yield path


def _listed(store: Store, directory: bytes) -> Iterable[tuple[str, bool]]:
    try:
        return store.entries(os.fsdecode(directory))
    except NoSuchFile as error:
        raise UserError(f"{error}, although its service has listed it a moment ago.") from error
