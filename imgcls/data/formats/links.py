"""Links to directories: followed, but none is searched twice or in a circle, and those left out are named."""

import logging
import os

from imgcls.data.paths import bullet_list, printable

log = logging.getLogger("imgcls")

SHOWN = 5


class Visited:
    """The directories of one search by their identity, whatever path leads to them.

    Args:
        root: where the search begins; what is below it is searched under its own name.
    """

    def __init__(self, root: str | bytes):
        self._root = os.path.realpath(os.fsencode(root))
        self._first: dict[tuple[int, int], str | bytes] = {}
        self._left_out: list[str] = []

    def enter(self, directory: str | bytes) -> bool:
        """Whether this directory is to be searched now: it has not been before."""
        status = os.stat(directory)
        first = self._first.setdefault((status.st_dev, status.st_ino), directory)
        if first != directory:
            self._leave_out(directory, f"leads to {printable(first)}")
        return first == directory

    def is_directory(self, entry: os.DirEntry) -> bool:
        """Whether an entry is one, or a link to one; a link to itself is nothing."""
        try:
            return entry.is_dir()
        except OSError as error:
            self._leave_out(entry.path, f"leads nowhere ({error.strerror})")
            return False

    def follows(self, link: str | bytes) -> bool:
        """Whether what a link leads to is not searched otherwise: it is elsewhere, or hidden."""
        place = os.path.realpath(os.fsencode(link))
        is_above = os.path.commonpath((place, self._root)) == place
        parts = os.path.relpath(place, self._root).split(os.sep.encode())
        if is_above or not any(part.startswith(b".") for part in parts):  # or by .., which is elsewhere
            self._leave_out(link, f"leads to {printable(place)}")
            return False
        return True

    def tell(self) -> None:
        """Name the links that were not followed, in the log."""
        if self._left_out:
            links = bullet_list(self._left_out[:SHOWN], len(self._left_out))
            log.warning("each directory is searched once; left out are links that lead to one again:\n%s", links)

    def _leave_out(self, link: str | bytes, why: str) -> None:
        self._left_out.append(f"{printable(link)} {why}")
