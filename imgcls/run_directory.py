"""The directory of a run: made once, held by one process at a time, continued on request."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from imgcls.engine.checkpoint import list_checkpoints, newest_whole, verify
from imgcls.errors import UserError


class RunDirectory:
    """``outputs/<run.name>``: ``config.yaml``, ``train.log``, ``metrics.csv``, curves, ``checkpoints/``.

    Args:
        path: the directory; made if need be.
        resume: ``None``, ``"auto"``, or the path of a checkpoint.
        report: called with a message for each damaged checkpoint that is passed over.

    Raises:
        UserError: another process holds the run, a run of this name exists and ``resume`` was not
            given, or the checkpoint to resume from is missing or damaged.
    """

    def __init__(self, path: Path, resume: str | None, report: Callable[[str], None]):
        self.path = path
        self.checkpoints = path / "checkpoints"
        path.mkdir(parents=True, exist_ok=True)
        self._lock = self._hold()
        try:
            self.start_from = self._find(resume, report)
        except UserError:
            os.close(self._lock)
            raise

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *exception) -> None:
        os.close(self._lock)

    def _find(self, resume: str | None, report: Callable[[str], None]) -> Path | None:
        if resume is None:
            if list_checkpoints(self.checkpoints):
                raise UserError(
                    f"{self.path} already holds a run. Continue it with trainer.resume=auto, choose another "
                    "run.name, or remove the directory."
                )
            return None
        if resume != "auto":
            given = Path(resume)
            if not given.is_dir():
                raise UserError(f"trainer.resume={resume}: there is no such checkpoint directory.")
            verify(given)
            return given.resolve()
        newest = newest_whole(self.checkpoints, report)
        if newest is None and list_checkpoints(self.checkpoints):
            raise UserError(f"No checkpoint in {self.checkpoints} is whole; this run cannot be continued.")
        return newest

    def _hold(self) -> int:
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise UserError(
                f"Another process is writing the run {self.path}. Wait for it, stop it, or choose another run.name."
            ) from error
        return descriptor
