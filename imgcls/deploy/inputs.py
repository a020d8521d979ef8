"""Which pictures are meant: a file, a directory, a pattern, a text file of paths, or a list of these."""

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from imgcls.data.formats.image_files import LeftOut, is_foreign, suffixes_in_words, takes_file, takes_folder
from imgcls.data.formats.links import Visited
from imgcls.data.paths import advice_on_form, printable
from imgcls.errors import UserError
from imgcls.machine.limits import LIST_BYTES
from imgcls.machine.reading import read_bytes

LIST_SUFFIX = ".txt"


def find_images(inputs: str | Iterable[str], left_out: LeftOut | None = None, key: str | None = None) -> list[str]:
    """Paths of the pictures that ``inputs`` stand for, in their order; a directory's or a pattern's sorted.

    - A directory is searched, and those below it, for images as ``image_files`` knows them.
    - A pattern has ``*``, ``?`` or ``[...]``, and ``**`` for directories of any depth; those of other programs
      are left out.
    - A ``.txt`` file has one path a line, relative to the place of the file.
    - Any other file is taken for a picture, whatever it is called.

    Args:
        left_out: takes note of what is in the directories and is no image.
        key: what the user named them by, for messages.

    Raises:
        UserError: one of them does not exist or stands for no picture.
    """
    entries = [inputs] if isinstance(inputs, str) else list(inputs)
    left_out = LeftOut() if left_out is None else left_out
    pictures = [picture for entry in entries for picture in _expand(str(entry), left_out, key)]
    if not pictures:
        where = f"Set {key} to" if key else "Name"
        raise UserError(f"No pictures are given. {where} a picture, a directory, a pattern or a list.")
    return pictures


def _expand(entry: str, left_out: LeftOut, key: str | None) -> list[str]:
    path = os.path.expanduser(entry)
    if not entry:
        raise UserError(f"{f'{key} is empty' if key else 'A name is empty'}: name a picture, a directory or a pattern.")
    if os.path.isdir(path):
        found = sorted(_below(path, left_out))
        nothing = f"There are no pictures in {printable(path)} or below it (looked for {suffixes_in_words()})."
        nothing += f"\n{left_out.line()}" if left_out else ""
    elif os.path.isfile(path) and path.lower().endswith(LIST_SUFFIX):
        found = _listed(Path(path))
        nothing = (
            f"The list {printable(path)} names no pictures. Each line is a path, relative to the list's directory."
        )
    elif os.path.exists(path):
        return [path]
    elif "://" in entry:
        raise UserError(f"{printable(entry)} is an address: download the picture, and name the file.")
    elif glob.has_magic(path):
        found = sorted(_matches(path, left_out))
        nothing = f"No file matches the pattern {printable(path)}."
    else:
        here = printable(os.path.abspath(path))
        if os.path.islink(path):
            raise UserError(f"{here} is a link that leads to nothing.")
        raise UserError(f"There is nothing at {here}.{f' Check {key}.' if key else ''}{advice_on_form(path)}")
    if not found:
        raise UserError(nothing)
    return found


def _below(directory: str, left_out: LeftOut) -> Iterator[str]:
    visited, waiting = Visited(directory), deque([directory])
    while waiting:
        for parent, folders, files in os.walk(waiting.popleft()):
            if not visited.enter(parent):
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if takes_folder(os.fsencode(name), left_out))
            paths = (os.path.join(parent, name) for name in folders)
            waiting.extend(path for path in paths if os.path.islink(path) and visited.follows(path))
            for name in files:
                path = os.path.join(parent, name)
                if takes_file(os.fsencode(name), lambda path=path: path, left_out):
                    yield path
    visited.tell()


def _matches(pattern: str, left_out: LeftOut) -> Iterator[str]:
    named = set(pattern.split(os.sep))
    for match in glob.iglob(pattern, recursive=True):
        if not os.path.isfile(match):
            continue
        folders = [one for one in match.split(os.sep)[:-1] if one not in named and is_foreign(os.fsencode(one))]
        if folders:
            left_out.files[f"in {printable(folders[0])}"] += 1
        else:
            yield match


def _listed(path: Path) -> list[str]:
    try:
        text = read_bytes(path, LIST_BYTES).removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise UserError(f"Cannot read the list {printable(path)}: {error.strerror or error}.") from error
    if b"\0" in text:
        raise UserError(f"The list {printable(path)} is no text in UTF-8. Save it as UTF-8.")
    lines = text.splitlines()
    names = (os.fsdecode(line.strip()) for line in lines)
    return [_place(path.parent, name) for name in names if name]


def _place(directory: Path, name: str) -> str:
    """Where a line of a list points to; backslashes of Windows stand for slashes, unless a file is called so."""
    path = os.path.join(directory, name)
    return path if os.path.exists(path) else os.path.join(directory, name.replace("\\", "/"))
