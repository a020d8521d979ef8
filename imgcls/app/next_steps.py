"""What to type after a training: commands for this run that can be pasted as they are."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from imgcls.app.text_value import text_value
from imgcls.data.formats.build import SAMPLE_PHOTOS
from imgcls.data.formats.samples import Samples
from imgcls.machine.text import shell_line


def next_steps(run: Path, imports: Sequence[str], val_samples: Samples | None) -> list[str]:
    """Commands that evaluate, predict with and export a run, quoted for Hydra and for the shell.

    Args:
        run: its directory.
        imports: modules of the user's own that it needs.
        val_samples: one of them is what is predicted; without any there is nothing to evaluate on.
    """
    source, photo = _here(run), _a_photo(val_samples)
    commands = [
        ("eval", {"eval.source": source}),
        ("predict", {"predict.source": source, "predict.input": photo}),
        ("export", {"export.source": source, "export.dir": f"{source}-export"}),
    ]
    own = [f"imports=[{','.join(map(text_value, imports))}]"] if imports else []
    return [
        shell_line(
            [python_command(), "-m", f"imgcls.{program}", *own, *(f"{key}={text_value(keys[key])}" for key in keys)]
        )
        for program, keys in commands
        if program != "eval" or val_samples is not None
    ]


def python_command() -> str:
    """``python`` where that is this one, else its path."""
    return "python" if shutil.which("python") == sys.executable else sys.executable


def _here(path: Path) -> str:
    """Relative to where the command was given, if the path lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _a_photo(samples: Samples | None) -> str:
    """The first validation picture; a bundled one where they are no files, or no path that can be typed."""
    path = samples.path(0) if samples is not None and len(samples) else ""
    can_be_typed = os.path.isfile(path) and path.isprintable() and "${" not in path
    return path if can_be_typed else str(next(SAMPLE_PHOTOS.rglob("val/*/*.jpg")))
