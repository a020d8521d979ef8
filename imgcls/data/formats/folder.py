"""A directory per class: ``root/<class name>/**/<image>``."""

import os
from collections import deque
from collections.abc import Iterable, Iterator

from imgcls.data.formats.class_names import folder_of_class
from imgcls.data.formats.links import Visited
from imgcls.data.formats.samples import Samples, require_directory, require_samples_in_every_class
from imgcls.data.paths import bullet_list, printable
from imgcls.errors import UserError, close_matches

IMAGE_SUFFIXES = (
    *(b".jpg", b".jpeg", b".jpe", b".jfif", b".png", b".webp", b".gif", b".bmp", b".dib", b".tif", b".tiff"),
    *(b".ppm", b".pgm", b".jp2", b".avif", b".tga", b".pcx", b".sgi"),
)


def class_folders(root: str | os.PathLike) -> tuple[str, ...]:
    """Names of the classes that have a directory below ``root``, sorted; hidden ones are left out."""
    return tuple(_class_folders(root))


def _class_folders(root: str | os.PathLike) -> dict[str, bytes]:
    with os.scandir(os.fsencode(root)) as entries:
        folders = [entry.name for entry in entries if not entry.name.startswith(b".") and os.path.isdir(entry.path)]
    return folder_of_class(folders, printable(root))


def read_folder(
    root: str | os.PathLike, class_names: tuple[str, ...] | None = None, allow_empty_classes: bool = False
) -> Samples:
    """Every image below the class directories of ``root``, in order of class and name.

    Images are recognised by their suffix; directories inside a class are searched too, hidden files
    are left out, symbolic links are followed.

    Args:
        class_names: the directories that can be there, in order of the label (those of the
            training images, when ``root`` holds the validation images); sorted when left out.
        allow_empty_classes: accept classes without an image.

    Raises:
        UserError: no such directory, no class directories, other classes than ``class_names``,
            no images, or a class without one.
    """
    root = require_directory(root, "data.root")
    folders = _class_folders(root)
    found = tuple(folders)
    if not found:
        raise UserError(
            f"{printable(root)} holds no class directories. Expected one directory per class: "
            f"{printable(root)}/<class name>/<image>."
        )
    if class_names is None:
        class_names = found
    else:
        refuse_other_classes(printable(root), found, class_names)

    visited = _enter_classes(os.fsencode(root), folders.values())
    images = (_images_of_class(os.fsencode(root), folders.get(name), visited) for name in class_names)
    samples = Samples.of_classes(root, images, class_names)
    visited.tell()
    if not len(samples):
        suffixes = " ".join(suffix.decode() for suffix in IMAGE_SUFFIXES)
        raise UserError(f"No image in the {len(found)} class directories of {printable(root)}; looked for {suffixes}.")
    if not allow_empty_classes:
        advice = "Add images, remove the directories, or set data.allow_empty_classes=true."
        require_samples_in_every_class(samples, printable(root), advice)
    return samples


def _enter_classes(root: bytes, folders: Iterable[bytes]) -> Visited:
    """The classes' own directories have been entered, real ones first: no link inside a class may lead to them."""
    visited = Visited(root)
    for folder in sorted(folders, key=lambda folder: (os.path.islink(os.path.join(root, folder)), folder)):
        visited.enter(os.path.join(root, folder))
    return visited


def _images_of_class(root: bytes, folder: bytes | None, visited: Visited) -> list[bytes]:
    return [] if folder is None else sorted(_images(os.path.join(root, folder), folder, visited))


def _images(directory: bytes, prefix: bytes, visited: Visited) -> Iterator[bytes]:
    """Paths of the images in a directory and below it, starting with ``prefix``; links are followed at the end."""
    waiting, links = [(directory, prefix)], deque()
    while waiting or links:
        directory, prefix = waiting.pop() if waiting else links.popleft()
        if not visited.enter(directory):
            continue
        with os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith(b"."):
                    continue
                name = prefix + b"/" + entry.name
                if not visited.is_directory(entry):
                    if entry.name.lower().endswith(IMAGE_SUFFIXES):
                        yield name
                elif not entry.is_symlink():
                    waiting.append((entry.path, name))
                elif visited.follows(entry.path):
                    links.append((entry.path, name))


def refuse_other_classes(where: str, found: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Compare the class directories with those of the training images; one that is not there has no images.

    Raises:
        UserError: naming the first that are unknown, and those that could be meant.
    """
    unknown = sorted(set(found) - set(expected))
    if not unknown:
        return
    absent = [name for name in expected if name not in set(found)]
    lines = [f"'{name}' is not a class of the training images.{close_matches(name, expected)}" for name in unknown[:5]]
    lines += [f"'{name}' is missing" for name in absent[:5]]
    raise UserError(
        f"The class directories of {where} are not the {len(expected)} expected ones:\n"
        f"{bullet_list(lines, len(unknown) + len(absent))}"
    )
