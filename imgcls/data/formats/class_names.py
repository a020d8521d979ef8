"""Class names: how one is written, those of folders and of the class-map file, and those used when there is none."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from imgcls.data.paths import printable
from imgcls.errors import UserError
from imgcls.machine.limits import NUMBER_DIGITS, TEXT_BYTES
from imgcls.machine.reading import read_bytes, read_text
from imgcls.machine.text import printable_text

IMAGENET_CLASS_MAP = Path(__file__).parents[2] / "assets" / "imagenet_labels.txt"


def class_name(text: str) -> str:
    """A class name as it is compared, recorded and shown: one line, its accents composed (NFC).

    ``café`` from a Mac, where the accent is a character of its own, and from Linux is one class. Line breaks
    and control characters are written as escapes, so that a name is a line of a file.
    """
    return unicodedata.normalize("NFC", printable_text(text))


def class_names_text(class_names: Iterable[str]) -> str:
    """The content of ``classes.txt``: a class name in each line."""
    return "".join(f"{name}\n" for name in class_names)


def read_class_names(path: Path) -> list[str]:
    """What ``class_names_text`` has written."""
    return [class_name(name) for name in read_text(path).split("\n")[:-1]]


def folder_of_class(folders: Iterable[bytes], where: str) -> dict[str, bytes]:
    """The class name of each folder, in sorted order.

    Raises:
        UserError: two folders are of one class.
    """
    found: dict[str, bytes] = {}
    for folder in sorted(folders):
        name = class_name(printable(folder))
        if name in found:
            twins = " and ".join(ascii(one.decode("utf-8", "backslashreplace")) for one in (found[name], folder))
            raise UserError(
                f"{where} has two directories of the class '{name}': {twins}. They look the same, their accents are "
                "written as other characters (NFC and NFD). Move the pictures of one into the other."
            )
        found[name] = folder
    return dict(sorted(found.items()))


def default_class_names(num_classes: int) -> tuple[str, ...]:
    """ImageNet's names for 1000 classes, otherwise the numbers."""
    if num_classes == 1000:
        return read_class_map(IMAGENET_CLASS_MAP)
    return tuple(str(label) for label in range(num_classes))


def display_names(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders' own names; for the 1000 WordNet identifiers of ImageNet, what they stand for."""
    if len(folders) == 1000 and all(re.fullmatch(r"n\d{8}", folder) for folder in folders):
        return default_class_names(1000)
    return folders


def read_class_map(path: str | Path) -> tuple[str, ...]:
    """Class names from a file of lines ``index name[, other name]``, in order of the index.

    A blank or a tab stands between the two; a UTF-8 byte-order mark and Windows line ends are fine.
    Blank lines are ignored; the lines may come in any order but every index from 0 up is there once.

    Raises:
        UserError: file missing or not UTF-8, or a line that is wrong (named by its number).
    """
    path = Path(path)
    try:
        text = read_bytes(path, TEXT_BYTES).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot read the class map {path}: {reason}. Set data.class_map.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8. Save the class map as UTF-8.") from error

    names: dict[int, str] = {}
    first_seen: dict[int, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        index_text, name = (*line.split(None, 1), "")[:2]
        if not index_text.isdecimal() or len(index_text) > NUMBER_DIGITS or not name.strip():
            raise UserError(f"{path}, line {number}: expected 'index name', found {line.strip()[:60]!r}.")
        index = int(index_text)
        if index in names:
            raise UserError(f"{path}, line {number}: index {index} was given before, in line {first_seen[index]}.")
        names[index], first_seen[index] = class_name(name.strip()), number
    if not names:
        raise UserError(f"The class map {path} is empty. Each line is 'index name'.")
    missing = next((index for index in range(len(names)) if index not in names), None)
    if missing is not None:
        raise UserError(
            f"{path}: index {missing} is missing; {len(names):,} lines must hold the indices 0 to {len(names) - 1}."
        )
    return tuple(names[index] for index in range(len(names)))
