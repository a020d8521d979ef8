"""Which pictures are meant: a file, a directory, a pattern, a text file of paths, or a list of these."""

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from imgcls.data.formats.folder import IMAGE_SUFFIXES
from imgcls.data.formats.links import Visited
from imgcls.data.paths import advice_on_form, printable
from imgcls.errors import UserError

LIST_SUFFIX = ".txt"


def find_pictures(inputs: str | Iterable[str]) -> list[str]:
    """Paths of the pictures that ``inputs`` stand for, in their order; a directory's or a pattern's sorted.

    - A directory is searched, and those below it, for the suffixes of images; hidden ones are left out.
    - A pattern has ``*``, ``?`` or ``[...]``, and ``**`` for directories of any depth.
    - A ``.txt`` file has one path a line, relative to the place of the file.
    - Any other file is taken for a picture, whatever it is called.

    Raises:
        UserError: one of them does not exist or stands for no picture.
    """
    entries = [inputs] if isinstance(inputs, str) else list(inputs)
    pictures = [picture for entry in entries for picture in _expand(str(entry))]
    if not pictures:
        raise UserError("No pictures are given. Set predict.input to a picture, a directory, a pattern or a list.")
    return pictures


def _expand(entry: str) -> list[str]:
    path = os.path.expanduser(entry)
    if os.path.isdir(path):
        found = sorted(_below(path))
        nothing = f"There are no pictures in {printable(path)} or below it (looked for {_suffixes()})."
    elif os.path.isfile(path) and path.lower().endswith(LIST_SUFFIX):
        found = _listed(Path(path))
        nothing = (
            f"The list {printable(path)} names no pictures. Each line is a path, relative to the list's directory."
        )
    elif os.path.exists(path):
        return [path]
    elif glob.has_magic(path):
        found = sorted(match for match in glob.iglob(path, recursive=True) if os.path.isfile(match))
        nothing = f"No file matches the pattern {printable(path)}."
    else:
        here = printable(os.path.abspath(path))
        raise UserError(f"There is nothing at {here}. Check predict.input.{advice_on_form(path)}")
    if not found:
        raise UserError(nothing)
    return found


def _below(directory: str) -> Iterator[str]:
    visited, waiting = Visited(directory), deque([directory])
    while waiting:
        for parent, folders, files in os.walk(waiting.popleft()):
            if not visited.enter(parent):
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            paths = (os.path.join(parent, name) for name in folders)
            waiting.extend(path for path in paths if os.path.islink(path) and visited.follows(path))
            for name in files:
                if not name.startswith(".") and os.fsencode(name).lower().endswith(IMAGE_SUFFIXES):
                    yield os.path.join(parent, name)
    visited.tell()


def _listed(path: Path) -> list[str]:
    try:
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise UserError(f"Cannot read the list {printable(path)}: {error.strerror}.") from error
    if b"\0" in text:
        raise UserError(f"The list {printable(path)} is no text in UTF-8. Save it as UTF-8.")
    lines = text.splitlines()
    names = (os.fsdecode(line.strip()) for line in lines)
    return [_place(path.parent, name) for name in names if name]


def _place(directory: Path, name: str) -> str:
    """Where a line of a list points to; backslashes of Windows stand for slashes, unless a file is called so."""
    path = os.path.join(directory, name)
    return path if os.path.exists(path) else os.path.join(directory, name.replace("\\", "/"))


def _suffixes() -> str:
    return " ".join(suffix.decode() for suffix in IMAGE_SUFFIXES)
