"""The log of a run: to the terminal as it is, to a file with times."""

import logging
import platform
import subprocess
from pathlib import Path

from imgcls.machine import cpu, installation

log = logging.getLogger("imgcls")


def start_log(file: Path | None = None) -> None:
    """Send the library's messages to the terminal, and to ``file`` (appended) if given."""
    log.handlers.clear()
    log.setLevel(logging.INFO)
    log.propagate = False
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(console)
    if file is not None:
        handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)


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
