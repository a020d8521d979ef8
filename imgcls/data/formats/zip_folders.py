"""A zip of class folders: what ``data=folder`` reads, packed with whatever program, and read where it lies.

Below ``train/`` and ``val/``, or with the classes right at the top; a directory round all of it does not matter.
``photos.zip`` holds both splits, or ``train.zip`` and ``val.zip`` in a directory one each.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from imgcls.data.formats.class_names import folder_of_class
from imgcls.data.formats.folder import refuse_other_classes
from imgcls.data.formats.image_files import (
    HEAD,
    OUTSIDE,
    LeftOut,
    is_foreign,
    suffixes_in_words,
    takes_file,
    takes_folder,
)
from imgcls.data.formats.packed import Shard, open_shard, state_of
from imgcls.data.formats.samples import Samples, require_samples_in_every_class
from imgcls.data.formats.splits import are_splits, folder_of_split
from imgcls.data.paths import bullet_list, printable
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError
from imgcls.machine.reading import open_regular
from imgcls.machine.zip_members import ZipMember, read_member, start_of_member, zip_members


@dataclass(frozen=True, eq=False)
class ZipSamples(Samples):
    """Samples whose paths are those of members of a zip, as if it were a directory.

    Args:
        archive: its path, and its state when it was looked through.
        headers: int64 ``[N]``, where each member begins.
        sizes, packed: int64 ``[N]``, of its content, and of that as it is packed.
        deflated: bool ``[N]``.
        crcs: int64 ``[N]``.
    """

    archive: Shard
    headers: np.ndarray
    sizes: np.ndarray
    packed: np.ndarray
    deflated: np.ndarray
    crcs: np.ndarray

    def source(self, index: int) -> bytes:
        """The content of one image.

        Raises:
            BadImage: the zip is gone or has changed since it was looked through, or the member is damaged.
        """
        where = printable(self.path(index))
        place = (int(column[index]) for column in (self.headers, self.sizes, self.packed))
        try:
            archive = open_shard(self.archive.name, self.archive)
            return read_member(archive.read, *place, bool(self.deflated[index]), int(self.crcs[index]))
        except OSError as error:
            raise BadImage(f"Cannot read the image {where}: {error.strerror or error}.") from error
        except ValueError as error:
            raise BadImage(f"Cannot read the image {where}: {error}.") from error

    def size(self, index: int) -> int:
        return int(self.sizes[index])

    def stamp(self, index: int) -> tuple[int, ...]:
        return self.size(index), int(self.crcs[index])

    def tail(self, index: int, count: int) -> bytes:
        return int(self.crcs[index]).to_bytes(4, "big")  # tells contents apart as well, and nothing is unpacked for it

    def is_there(self) -> bool:
        return os.path.isfile(self.archive.name)


@dataclass(frozen=True)
class _Images:
    """Where the class folders of a split are, and each image's path from there."""

    archive: Path
    below: bytes
    found: list[tuple[bytes, ZipMember]]


def zip_samples(
    root: str | os.PathLike,
    split: str,
    undivided: bool = False,
    class_names: tuple[str, ...] | None = None,
    allow_empty_classes: bool = False,
    left_out: LeftOut | None = None,
) -> Samples:
    """The images of a split, in order of class and name.

    Args:
        root: a zip, or a directory of ``train.zip`` and ``val.zip``.
        undivided: the class folders may lie at the top.
        class_names: the folders that can be there, in order of the label; sorted when left out.

    Raises:
        UserError: no zip, a damaged one, no such split, other classes, or a class without an image.
    """
    left_out = LeftOut() if left_out is None else left_out
    images = _images(root, split, undivided, left_out)
    where = printable(os.path.join(images.archive, os.fsdecode(images.below)))
    folders = folder_of_class({path.partition(b"/")[0] for path, _ in images.found}, where)
    if not folders:
        noted = f"\n{left_out.line()}" if left_out else ""
        raise UserError(f"No image in class folders of {where}; looked for {suffixes_in_words()}.{noted}")
    if class_names is None:
        class_names = tuple(folders)
        if split == "val":
            train = _images(root, "train", True, LeftOut(), required=False)
            of_training = folder_of_class({path.partition(b"/")[0] for path, _ in train.found}, where) if train else ()
            class_names = tuple(of_training) or class_names
    refuse_other_classes(where, tuple(folders), class_names)
    label_of = {folder: class_names.index(name) for name, folder in folders.items()}
    ordered = sorted((label_of[path.partition(b"/")[0]], path, member) for path, member in images.found)
    _refuse_faults(where, [(path, member) for _, path, member in ordered])
    paths = [[] for _ in class_names]
    for label, path, _ in ordered:
        paths[label].append(path)
    plain = Samples.of_classes(where, paths, class_names)
    table = np.array([one[1:6] for _, _, one in ordered], np.int64).reshape(-1, 5)
    headers, sizes, packed, deflated, crcs = np.ascontiguousarray(table.T)
    samples = ZipSamples(
        os.path.join(images.archive, os.fsdecode(images.below)),
        *(plain.text, plain.starts, plain.ends, plain.labels, class_names),
        state_of(images.archive, os.fspath(images.archive)),
        *(headers, sizes, packed, deflated.astype(bool), crcs),
    )
    if not allow_empty_classes:
        require_samples_in_every_class(samples, where, "Add images, or set data.allow_empty_classes=true.")
    return samples


def has_zip_split(root: str | os.PathLike, split: str) -> bool:
    """Whether the zip is divided, and has this split."""
    return _images(root, split, False, LeftOut(), required=False) is not None


def _images(
    root: str | os.PathLike, split: str, undivided: bool, left_out: LeftOut, required: bool = True
) -> _Images | None:
    archive = _archive(Path(root), split, undivided)
    try:
        with open_regular(archive) as file:
            members = [(one.path.replace(b"\\", b"/"), one) for one in zip_members(file)]
            members = [(os.path.normpath(path).lstrip(b"/"), one) for path, one in members]
            below = _below(archive, [path for path, _ in members], split, undivided)
            if below is None:
                if not required:
                    return None
                raise UserError(_no_split(archive, split))
            found = []
            for path, member in members:
                if path.startswith(below) and _is_image(file, path[len(below) :], member, left_out):
                    found.append((path[len(below) :], member))
    except OSError as error:
        raise UserError(f"Cannot read {printable(archive)}: {error.strerror or error}.") from error
    except ValueError as error:
        raise UserError(f"{printable(archive)} is no zip, or is damaged: {error}. Copy or make it anew.") from error
    return _Images(archive, below, found)


def _archive(root: Path, split: str, undivided: bool) -> Path:
    if not root.exists():
        raise UserError(f"The zip {printable(root.absolute())} does not exist. Set data.root to an existing one.")
    if not root.is_dir():
        return root
    found = next((path for name in (split, "train") if (path := root / f"{name}.zip").is_file()), None)
    if found is None or (found.name != f"{split}.zip" and not undivided):
        raise UserError(
            f"{printable(root)} has no {split}.zip. data=zip wants data.root=photos.zip, a zip of class folders, or a "
            "directory of train.zip and val.zip."
        )
    return found


def _below(archive: Path, paths: list[bytes], split: str, undivided: bool) -> bytes | None:
    """What precedes the class folders in the paths of a split; ``None`` if there is no such split."""
    below, folders = b"", _folders(paths, b"")
    while len(folders) == 1 and not are_splits(folders):  # a directory round all of it
        inner = below + os.fsencode(next(iter(folders))) + b"/"
        if not (deeper := _folders(paths, inner)):
            break
        below, folders = inner, deeper
    if found := folder_of_split(folders, split):
        return below + os.fsencode(found) + b"/"
    if archive.stem == split or (undivided and not are_splits(folders)):
        return below
    return None


def _folders(paths: list[bytes], below: bytes) -> set[str]:
    tops = {
        path[len(below) :].partition(b"/")[0] for path in paths if path.startswith(below) and b"/" in path[len(below) :]
    }
    return {os.fsdecode(top) for top in tops if not is_foreign(top)}


def _no_split(archive: Path, split: str) -> str:
    return (
        f"{printable(archive)} has no directory '{split}'. data=zip wants {split}/<class name>/<image> in it, for "
        "train and val.\nOr leave the classes undivided: data.val_share=0.2 takes a fifth of each for validation, "
        "data.val_share=0 none (in training with trainer.eval_every=0)."
    )


def _is_image(file: BinaryIO, path: bytes, member: ZipMember, left_out: LeftOut) -> bool:
    def read(offset: int, size: int) -> bytes:
        return os.pread(file.fileno(), size, offset)

    def head() -> bytes | None:
        try:
            return None if member.fault else start_of_member(read, member.header, member.packed, member.deflated, HEAD)
        except ValueError:
            return None

    *folders, name = path.split(b"/")
    if not all(takes_folder(folder, left_out) for folder in folders):
        return False
    if not takes_file(name, head, left_out):
        return False
    if not folders:
        left_out.files[f"{os.path.splitext(printable(name))[1].lower()} {OUTSIDE}"] += 1
    return bool(folders)


def _refuse_faults(where: str, images: list[tuple[bytes, ZipMember]]) -> None:
    faults = [f"{printable(path)}: {member.fault}" for path, member in images if member.fault]
    if faults:
        raise UserError(f"{len(faults):,} images of {where} cannot be read:\n{bullet_list(faults[:5], len(faults))}")
