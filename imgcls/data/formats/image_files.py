"""Which files and directories of a tree are the user's pictures, and what is said of the others.

Left out are hidden names, what NAS boxes, systems and photo programs leave beside pictures, and files
of other kinds. A file is known by its ending; one without an ending, by how it begins.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache

from imgcls.data.paths import printable
from imgcls.data.pictures import readers
from imgcls.data.pictures.decode import is_image
from imgcls.errors import listed

SUFFIXES = (
    *(b".jpg", b".jpeg", b".jpe", b".jfif", b".png", b".apng", b".webp", b".gif", b".bmp", b".dib", b".tif", b".tiff"),
    *(b".ppm", b".pgm", b".pbm", b".pnm", b".jp2", b".j2k", b".jpx", b".tga", b".pcx", b".sgi"),
)

FOREIGN_FOLDERS = frozenset(
    (
        *(b"@eadir", b"@tmp", b"#recycle", b"#snapshot", b"@sharesnap"),  # Synology
        *(b"@recycle", b"@recently-snapshot", b"@__thumb"),  # QNAP
        *(b"__macosx", b"network trash folder", b"temporary items", b"ipod photo cache"),  # macOS
        *(b"$recycle.bin", b"system volume information", b"msocache"),  # Windows
        *(b"lost+found", b"lost.dir"),  # file systems, Android
        *(b"picasaoriginals", b"[originals]"),  # Picasa, ACDSee: what edited pictures were
        b"__pycache__",
    )
)
"""In lower case; hidden ones, as ``.@__thumb``, ``.Trashes`` and ``.picasaoriginals``, need no mention."""

FOREIGN_FOLDER_ENDINGS = (
    *(b".lrdata", b".lrcat-data"),  # Lightroom: previews
    *(b".photoslibrary", b".photolibrary", b".aplibrary", b".migratedphotolibrary"),  # macOS: previews beside originals
)

FOREIGN_FOLDER = re.compile(rb"(?i:found\.\d{3})|RECYCLER|RECYCLED")
"""Windows; the last two in this spelling only, for they are words."""

FOREIGN_FILE = re.compile(rb"syno\w*(_thumb|@)", re.IGNORECASE)
"""Synology's thumbnails."""

ENDING = re.compile(r"\.\w*[^\W\d_]\w*")
"""With a letter in it: that of ``Screenshot 10.21.33`` is none."""

HEAD = 65536
"""Bytes at the start of a file without an ending that say whether it is an image."""

KINDS_SHOWN = 10

HIDDEN, BACKUP = "hidden", "backups of an editor"
WITHOUT_ENDING, OUTSIDE = "without an ending", "beside the class directories"


class LeftOut:
    """What was left out, by kind.

    Args:
        files: number of files of each kind: an ending, or words.
        folders: number of directories of each name; what is in them is not counted.
        also: endings of files that are images here, beside the usual ones.
    """

    def __init__(
        self,
        files: Mapping[str, int] | None = None,
        folders: Mapping[str, int] | None = None,
        also: tuple[bytes, ...] = (),
    ):
        self.files = Counter(files)
        self.folders = Counter(folders)
        self.also = also

    def __bool__(self) -> bool:
        return bool(self.files or self.folders)

    def add(self, other: "LeftOut") -> None:
        """Take note of what another one has noted."""
        self.files += other.files
        self.folders += other.folders

    def line(self) -> str:
        """Numbers and kinds as one line, and what to install for those that could be read."""
        parts = []
        if self.files:
            kinds = [f"{count:,} {kind}" for kind, count in _most(self.files)]
            more = len(self.files) - len(kinds)
            parts.append(f"{_files(self.files.total())}: {', '.join(kinds)}{f' and {more} more kinds' if more else ''}")
        if self.folders:
            names = [f"{name} ({count:,})" for name, count in _most(self.folders)]
            more = len(self.folders) - len(names)
            parts.append(f"directories {', '.join(names)}{f' and {more} more' if more else ''}")
        endings = {os.fsencode(kind.split()[0]) for kind in self.files}
        missing = [format.missing for format in readers.FORMATS if endings & set(format.suffixes)]
        return ". ".join(["left out " + "; ".join(parts), *missing])


def _most(counts: Counter) -> list[tuple[str, int]]:
    """The most frequent, in an order that does not depend on the file system's."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:KINDS_SHOWN]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


@cache
def suffixes() -> tuple[bytes, ...]:
    """Endings of the images that can be read here, in lower case."""
    return *SUFFIXES, *(one for form in readers.FORMATS if readers.can_read(form) for one in form.suffixes)


def suffixes_in_words() -> str:
    """For messages."""
    return listed((suffix.decode() for suffix in suffixes()), separator=" ")


def is_foreign(folder: bytes) -> bool:
    """Whether a directory of this name is hidden, or another program's."""
    name = folder.lower()
    return (
        name.startswith(b".")
        or name in FOREIGN_FOLDERS
        or name.endswith(FOREIGN_FOLDER_ENDINGS)
        or FOREIGN_FOLDER.fullmatch(folder) is not None
    )


def takes_folder(name: bytes, left_out: LeftOut) -> bool:
    """Whether a directory of this name is searched; otherwise it is noted."""
    if not is_foreign(name):
        return True
    left_out.folders[printable(name)] += 1
    return False


def takes_file(name: bytes, head: Callable[[], str | bytes | None], left_out: LeftOut) -> bool:
    """Whether a file of this name is an image; otherwise it is noted.

    Args:
        head: gives the file, or its first bytes; asked only where there is no ending. ``None``: there is none.
    """
    kind = _kind_if_left_out(name, head, left_out.also)
    if kind is None:
        return True
    left_out.files[kind] += 1
    return False


def _kind_if_left_out(name: bytes, head: Callable[[], str | bytes | None], also: tuple[bytes, ...] = ()) -> str | None:
    if name.startswith(b"."):
        return HIDDEN
    if FOREIGN_FILE.match(name):
        return "thumbnails"
    if name.endswith(b"~") or (name.startswith(b"#") and name.endswith(b"#")):
        return BACKUP
    if name.lower().endswith(suffixes() + also):
        return None
    ending = os.path.splitext(printable(name))[1].lower()
    if ENDING.fullmatch(ending):
        return ending
    source = head()
    return None if source is not None and is_image(source) else WITHOUT_ENDING
