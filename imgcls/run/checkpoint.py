"""Checkpoint directories: whole or absent, verified before they are used.

A checkpoint is written beside its final name, flushed to disk, and published by one rename.
``manifest.json`` holds the sha256 of each file; what it does not list is not read. The links ``last``
and ``best`` always point to published directories.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from imgcls.errors import UserError
from imgcls.machine import pulse
from imgcls.machine.files import atomic_write, remove, sha256
from imgcls.machine.reading import read_json, shown
from imgcls.machine.text import json_text
from imgcls.weights.fluid.training import LEARNING_RATE, STEP_COUNTER
from imgcls.weights.source import MANIFEST, NETWORK_FILE

FORMAT = 1
ASIDE = "passed_over"
PATTERN = "epoch-*-step-*"
NAME = re.compile(r"epoch-(\d+)-step-(\d+)")
FOR_USE = (NETWORK_FILE, "config.yaml", "classes.txt")
"""What eval, predict and export need of a checkpoint."""
TO_GO_ON = (*FOR_USE, "optimizer.pdopt", "state.json")
"""What a run needs that is continued."""
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
            digests = {}
            for name, write in writers.items():
                pulse.beat()
                write(partial / name)
                digests[name] = sha256(partial / name)
            manifest = {"format": FORMAT, "sha256": digests}
            # No line end: a manifest that is cut short by one byte is no JSON.
            (partial / MANIFEST).write_text(json_text(manifest, indent=1), encoding="utf-8")
    return final


def point(root: Path, name: str, target: Path) -> None:
    """Let the link ``<root>/<name>`` (``last``, ``best``) point to a checkpoint, in one step."""
    with _as_user_error(root / name), atomic_write(root / name, durable=True) as partial:
        partial.symlink_to(target.name)


def list_checkpoints(root: Path) -> list[Path]:
    """Published checkpoints below ``root``, oldest first."""
    found = [path for path in root.glob(PATTERN) if NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=progress_of)


def progress_of(path: Path) -> tuple[int, int]:
    """Epochs finished and updates done, as the name of a checkpoint's directory tells; -1 where it does not."""
    match = NAME.fullmatch(path.name)
    return (int(match[1]), int(match[2])) if match else (-1, -1)


def set_aside(root: Path, newer: Iterable[Path]) -> Path:
    """Move checkpoints out of a run that goes on from before them, and return where they are now."""
    aside = root / ASIDE
    with _as_user_error(aside):
        aside.mkdir(exist_ok=True)
        for path in newer:
            remove(aside / path.name)
            path.rename(aside / path.name)
    return aside


def remove_old(root: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints and the ones ``last`` and ``best`` point to."""
    linked = {os.path.realpath(root / name) for name in ("last", "best")}
    for path in list_checkpoints(root)[:-keep]:
        if os.path.realpath(path) not in linked:
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


def read_manifest(path: Path) -> dict[str, str]:
    """The sha256 of each file of a checkpoint, by its name within the directory.

    Raises:
        DamagedCheckpoint: the manifest is missing, of another format, lists nothing, or no plain names.
    """
    try:
        manifest = read_json(path / MANIFEST)
        recorded, version = dict(manifest["sha256"]), manifest["format"]
    except (UserError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(f"{path / MANIFEST} is missing or unreadable: this is no whole checkpoint.") from error
    if version != FORMAT:
        raise DamagedCheckpoint(
            f"{path} has checkpoint format {shown(str(version))}; this version of imgcls reads format {FORMAT}."
        )
    for name, digest in recorded.items():
        if os.path.basename(name) != name or name in ("", ".", "..") or not name.isprintable():
            raise DamagedCheckpoint(f"{path / MANIFEST} lists {shown(name)!r}, which is no file of a checkpoint.")
        if not isinstance(digest, str):
            raise DamagedCheckpoint(f"{path / MANIFEST} has no sha256 for {shown(name)!r}.")
    if not recorded:
        raise DamagedCheckpoint(f"{path / MANIFEST} lists no files: this is no whole checkpoint.")
    return recorded


def verify(path: Path, required: Iterable[str] = (), files: Collection[str] | None = None) -> None:
    """Compare every file with the manifest, or those that are named.

    Args:
        required: files that the manifest must list.

    Raises:
        DamagedCheckpoint: naming the first file that is missing or differs, or another format.
    """
    recorded = read_manifest(path)
    for name in required:
        if name not in recorded:
            raise DamagedCheckpoint(f"{path / MANIFEST} does not list {name}: this is no whole checkpoint.")
    for name, expected in recorded.items():
        if files is not None and name not in files:
            continue
        try:
            found = sha256(path / name)
        except (FileNotFoundError, IsADirectoryError):
            raise DamagedCheckpoint(f"{path / name} is missing.") from None
        except OSError as error:
            raise DamagedCheckpoint(f"{path / name} cannot be read: {error.strerror or error}.") from error
        if found != expected:
            raise DamagedCheckpoint(f"{path / name} is damaged: its sha256 differs from the manifest's.")


def matches(path: Path, names: Iterable[str]) -> bool:
    """Whether a checkpoint's manifest lists these files and they are as it says; the others are not looked at."""
    try:
        recorded = read_manifest(path)
        return all(recorded.get(name) == sha256(path / name) for name in names)
    except (DamagedCheckpoint, OSError):
        return False


def newest_whole(
    root: Path, report: Callable[[str], None], required: Iterable[str] = (), files: Collection[str] | None = None
) -> Path | None:
    """The newest checkpoint that verifies; damaged ones are reported and passed over.

    Args:
        required, files: see ``verify``.
    """
    for path in reversed(list_checkpoints(root)):
        try:
            verify(path, required, files)
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
