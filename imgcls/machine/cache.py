"""Where downloads are kept: ``$IMGCLS_CACHE``, or ``~/.cache/imgcls``."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from imgcls.errors import UserError

CACHE_VARIABLE = "IMGCLS_CACHE"


def cache_directory() -> Path:
    """Where downloads are kept; where nobody knows of a home, as in some containers, with the temporary files.

    Raises:
        UserError: there, where anybody can write, it is somebody else's.
    """
    path = os.path.expanduser(os.environ.get(CACHE_VARIABLE) or "~/.cache/imgcls")
    if not path.startswith("~"):
        return Path(path)
    own = Path(tempfile.gettempdir(), f"imgcls-{os.getuid()}")
    with contextlib.suppress(OSError):
        own.mkdir(mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        state = own.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid():
            raise UserError(f"{own} is somebody else's. {CACHE_VARIABLE} names another directory for downloads.")
    return own


@contextlib.contextmanager
def cache_at(directory: Path) -> Iterator[None]:
    """Keep what is fetched and found in this directory meanwhile: for what nobody needs afterwards."""
    former = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(directory)
    try:
        yield
    finally:
        if former is None:
            del os.environ[CACHE_VARIABLE]
        else:
            os.environ[CACHE_VARIABLE] = former
