"""Checkpoint directories: whole or absent, verified before they are used.

A checkpoint is written beside its final name, flushed to disk, and published by one rename.
``manifest.json`` holds the sha256 of each file. The links ``last`` and ``best`` always point to
published directories.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from imgcls.errors import UserError
from imgcls.machine.files import atomic_write, remove, sha256
from imgcls.weights.fluid.training import LEARNING_RATE, STEP_COUNTER

MANIFEST = "manifest.json"
FORMAT = 1
PATTERN = "epoch-*-step-*"
Writer = Callable[[Path], None]


class DamagedCheckpoint(UserError):
    """A checkpoint whose files do not match its manifest."""


def write_checkpoint(root: Path, epoch: int, step: int, writers: Mapping[str, Writer]) -> Path:
    """Write one checkpoint atomically and return its directory ``<root>/epoch-<epoch>-step-<step>``.

    Epochs finished and updates done determine a run's state, so a whole checkpoint of that name is
    kept as it is; a damaged one is replaced.

    Args:
        root: the run's ``checkpoints`` directory.
        writers: file name to a function that writes that file at the path it is given.

    Raises:
        UserError: the disk is full or the directory not writable; what was there before is intact.
    """
    final = root / f"epoch-{epoch:04d}-step-{step:08d}"
    if final.exists():
        try:
            verify(final)
            return final
        except DamagedCheckpoint:
            shutil.rmtree(final)
    with _as_user_error(final):
        root.mkdir(parents=True, exist_ok=True)
        with atomic_write(final, durable=True) as partial:
            partial.mkdir()
            for name, write in writers.items():
                write(partial / name)
            manifest = {"format": FORMAT, "sha256": {name: sha256(partial / name) for name in writers}}
            (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
    return final


def point(root: Path, name: str, target: Path) -> None:
    """Let the link ``<root>/<name>`` (``last``, ``best``) point to a checkpoint, in one step."""
    with _as_user_error(root / name), atomic_write(root / name, durable=True) as partial:
        partial.symlink_to(target.name)


def list_checkpoints(root: Path) -> list[Path]:
    """Published checkpoints below ``root``, oldest first."""
    return sorted(path for path in root.glob(PATTERN) if path.is_dir())


def remove_old(root: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints and the ones ``last`` and ``best`` point to."""
    linked = {(root / name).resolve() for name in ("last", "best")}
    for path in list_checkpoints(root)[:-keep]:
        if path.resolve() not in linked:
            leaving = root / f".{path.name}.removed"
            with _as_user_error(path):
                remove(leaving)
                path.rename(leaving)  # whole or absent, even when this is cut short
                shutil.rmtree(leaving)


def remove_remains(root: Path) -> None:
    """Delete what writing and removing left behind when they were cut short."""
    for pattern in (".*.partial", f".{PATTERN}.removed"):
        for path in root.glob(pattern):
            remove(path)


def verify(path: Path, files: Collection[str] | None = None) -> None:
    """Compare every file with the manifest, or those that are named.

    Raises:
        DamagedCheckpoint: naming the first file that is missing or differs, or another format.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        recorded = dict(manifest["sha256"])
        version = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(f"{path / MANIFEST} is missing or unreadable: this is no whole checkpoint.") from error
    if version != FORMAT:
        raise DamagedCheckpoint(
            f"{path} has checkpoint format {version}; this version of imgcls reads format {FORMAT}."
        )
    for name, expected in recorded.items():
        if files is not None and name not in files:
            continue
        if not (path / name).is_file():
            raise DamagedCheckpoint(f"{path / name} is missing.")
        if sha256(path / name) != expected:
            raise DamagedCheckpoint(f"{path / name} is damaged: its sha256 differs from the manifest's.")


def newest_whole(root: Path, report: Callable[[str], None], files: Collection[str] | None = None) -> Path | None:
    """The newest checkpoint that verifies, as far as its ``files`` go; damaged ones are reported and passed over."""
    for path in reversed(list_checkpoints(root)):
        try:
            verify(path, files)
        except DamagedCheckpoint as error:
            report(f"{error} Trying the checkpoint before it.")
        else:
            return path
    return None


def is_fluid_checkpoint(path: Path) -> bool:
    """Whether a directory is a training checkpoint of the original: no manifest of ours, but its step or rate."""
    return not (path / MANIFEST).exists() and any((path / name).is_file() for name in (STEP_COUNTER, LEARNING_RATE))


@contextlib.contextmanager
def _as_user_error(wanted: Path) -> Iterator[None]:
    """A failure of the file system as a message about ``wanted``."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{wanted} could not be written: {error.strerror or error}. Earlier checkpoints are intact. "
            "Free space, or make the directory writable, then continue with trainer.resume=auto."
        ) from error
