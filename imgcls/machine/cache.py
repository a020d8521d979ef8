"""Where downloads are kept: ``$IMGCLS_CACHE``, or ``~/.cache/imgcls``."""

import os
from pathlib import Path

CACHE_VARIABLE = "IMGCLS_CACHE"


def cache_directory() -> Path:
    """Where downloads are kept."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/imgcls").expanduser()
