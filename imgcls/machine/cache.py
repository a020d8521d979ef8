"""Where downloads are kept: ``$IMGCLS_CACHE``, or ``~/.cache/imgcls``."""

import os
import tempfile
from pathlib import Path

CACHE_VARIABLE = "IMGCLS_CACHE"


def cache_directory() -> Path:
    """Where downloads are kept; where nobody knows of a home, as in some containers, with the temporary files."""
    path = os.path.expanduser(os.environ.get(CACHE_VARIABLE) or "~/.cache/imgcls")
    return Path(tempfile.gettempdir(), f"imgcls-{os.getuid()}") if path.startswith("~") else Path(path)
