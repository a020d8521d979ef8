"""The log of a run: to the terminal as it is, to a file with times."""

import logging
import platform
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

from imgcls.machine import cpu, installation
from imgcls.machine.text import escape_controls

log = logging.getLogger("imgcls")


def start_log(file: Path | None = None) -> None:
    """Send the library's messages to the terminal, and to ``file`` (appended) if given."""
    log.handlers.clear()
    log.setLevel(logging.INFO)
    log.propagate = False
    console = _Console()
    console.setFormatter(_Formatter("%(message)s"))
    log.addHandler(console)
    if file is not None:
        handler = _File(file, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)


class _Formatter(logging.Formatter):
    """No name in a message can move the cursor, colour the terminal or turn the direction of the line."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(super().format(record), lines=True)


class _Console(logging.StreamHandler):
    """Standard error, where a bar may be: it steps aside for a line."""

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(self.stream):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):  # nobody listens: no reason to end
            super().handleError(record)


class _File(logging.FileHandler):
    """A run goes on when its log cannot be written any more, on a full disk for instance; that is said once."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.failed:
            self.failed = True
            log.warning("%s cannot be written (%s): it lacks lines.", self.baseFilename, error.strerror or error)


def system_line(config_hash: str) -> str:
    """One line on what a run's numbers depend on: versions, devices, CPU settings, commit, configuration."""
    gpus = installation.gpu_count()
    device = f"{gpus} GPU" if gpus else f"CPU {cpu.describe()}"
    return (
        f"{installation.versions()}; Python {platform.python_version()}; {device}; commit {_commit()}; "
        f"config {config_hash}"
    )


def _commit() -> str:
    """The checkout's commit, or ``none`` for an installed package."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return "none"
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
