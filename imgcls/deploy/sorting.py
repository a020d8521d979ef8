"""Pictures in folders by what they show: copied or linked, never moved, never over another file."""

import contextlib
import filecmp
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from imgcls.data.paths import printable
from imgcls.deploy.results import UNKNOWN
from imgcls.errors import UserError
from imgcls.machine.files import remove
from imgcls.machine.safe_names import numbered, safe_names


class Folders:
    """``<root>/<class>/<file name>``, and ``<root>/unknown/`` for pictures that no class is sure of.

    A class is called as ``safe_names`` calls it. Of several pictures of one name the second becomes
    ``name (2).jpg``. Sorting again adds what is missing: a file that is there with the same content is
    taken for the picture's own.

    Args:
        class_names: in order of the class number.
        link: make symbolic links to where the pictures are, instead of copies.
    """

    def __init__(self, root: Path, class_names: Sequence[str], link: bool):
        self.root = root.absolute()
        self.link = link
        # The folder of the unknown has its name first: a class of that name is another thing.
        self.unknown, *self.names = safe_names([UNKNOWN, *class_names])
        self._sources: dict[Path, str] = {}

    def prepare(self, inputs: Iterable[str], pictures: Iterable[str]) -> None:
        """Make the directory, unless it lies in what is being sorted: the next time copies would be copied.

        Args:
            inputs: what the user named; directories among them.
            pictures: the files that they stand for.

        Raises:
            UserError: it is one of the inputs, around them or in them, or cannot be made.
        """
        root = os.path.realpath(self.root)
        named = map(os.path.expanduser, inputs)
        around = (path for path in named if os.path.isdir(path) and _is_within(root, os.path.realpath(path)))
        inside = (path for path in pictures if _is_within(os.path.realpath(os.path.dirname(path)), root))
        for path in (*around, *inside):
            raise UserError(
                f"predict.sort_to={printable(self.root)} and the pictures to sort, {printable(path)}, lie in one "
                "another: copies would be sorted again. Name a directory beside them."
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"predict.sort_to={printable(self.root)}: {error.strerror}. Name another directory."
            ) from error

    def sort(self, answers: Iterable[tuple[str, int | None]], report: Callable[[str, UserError], None]) -> None:
        """Put every picture into the folder of its class; ``None`` is the unknown's.

        Args:
            report: called with the path and the error for each picture that is left out.

        Raises:
            UserError: the folders cannot be written.
        """
        for picture, number in answers:
            source = os.path.abspath(picture)
            try:
                self._place(source, self.root / (self.unknown if number is None else self.names[number]))
            except OSError as error:
                where = printable(error.filename2 or error.filename or self.root)
                if error.filename == source and error.filename2 is None:
                    report(picture, UserError(f"Cannot sort {where}: {error.strerror}."))
                    continue
                advice = " Use predict.sort_by=copy." if self.link and error.filename2 else ""
                raise UserError(
                    f"{where}: {error.strerror}.{advice} What was sorted so far stays; the same command with its "
                    "run.name and predict.resume=true goes on."
                ) from error

    def _place(self, source: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for number in itertools.count(1):
            target = folder / numbered(os.path.basename(source), number)
            taken_by = self._sources.get(target)
            if taken_by == source:  # a picture that was named twice
                return
            if taken_by is None and (self._put(source, target) or _is_same(source, target)):
                self._sources[target] = source
                return

    def _put(self, source: str, target: Path) -> bool:
        """Whether the picture took the name; not if anything has it."""
        os.stat(source)  # a link to nothing could be made
        if os.path.lexists(target):
            return False
        try:
            if self.link:
                os.symlink(source, target)
            else:
                self._copy(source, target)
        except FileExistsError:
            return False
        return True

    def _copy(self, source: str, target: Path) -> None:
        partial = self.root / f".{os.getpid()}.partial"
        try:
            shutil.copyfile(source, partial)
            with contextlib.suppress(OSError):
                shutil.copystat(source, partial)  # its date
            try:
                os.link(partial, target)  # unlike renaming, never over another file
            except FileExistsError:
                raise
            except OSError:  # a file system without links
                partial.rename(target)
        finally:
            remove(partial)


def _is_within(path: str, directory: str) -> bool:
    return os.path.commonpath((path, directory)) == directory


def _is_same(source: str, target: Path) -> bool:
    """Whether the picture is there already, from an earlier time."""
    try:
        return filecmp.cmp(source, target)
    except OSError:  # a directory, or a link to nothing
        return False
