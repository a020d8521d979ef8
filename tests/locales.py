"""Real locales that are not UTF-8, made by the system's own tool where it has it."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

NAMES = {"zh_CN.GBK": ("zh_CN", "GBK"), "en_US.ISO-8859-1": ("en_US", "ISO-8859-1")}
NEEDED = "localedef and its sources are needed (apt install locales)"


def in_locale(name: str) -> dict[str, str]:
    """Environment variables of a process in that locale; skips the test where it cannot be made."""
    if (archive := _archive()) is None:
        pytest.skip(f"NO LOCALE BUT UTF-8 WAS TRIED: {NEEDED}")
    return {"LOCPATH": archive, "LC_ALL": name}


@functools.cache
def _archive() -> str | None:
    directory = Path(tempfile.mkdtemp(prefix="imgcls-locales-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    try:
        for name, (source, characters) in NAMES.items():
            command = ["localedef", "-i", source, "-f", characters, str(directory / name)]
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return str(directory)
