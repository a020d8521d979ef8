"""The directory of a run: made once, held by one process at a time, continued on request."""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imgcls.errors import Interrupted, UserError
from imgcls.machine.files import NO_LOCKS, atomic_write
from imgcls.machine.text import write_json
from imgcls.run.checkpoint import (
    TO_GO_ON,
    is_fluid_checkpoint,
    list_checkpoints,
    newest_whole,
    remove_remains,
    verify,
)
from imgcls.run.lock import hold, is_held

if TYPE_CHECKING:
    from imgcls.engine.ranks import Ranks

STATUS = "status.json"


class Run:
    """A run as seen by the ranks that take part in it: where it is, and the checkpoint it starts from."""

    def __init__(self, path: Path, start_from: Path | None = None):
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.start_from = start_from

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        """Nothing is held."""


class RunDirectory(Run):
    """``outputs/<run.name>``: configuration, logs, ``metrics.csv``, curves, ``checkpoints/``, ``status.json``.

    As a context, writes the run's status: ``running``, then ``finished``, ``preempted`` or
    ``failed``. A process that was killed leaves ``running`` behind, and no lock.

    Args:
        path: the directory; made if need be.
        resume: ``None``, ``"auto"``, or the path of a checkpoint.
        report: called with a message for each damaged checkpoint that is passed over.
        lock: keep other processes out; not every file system can.

    Raises:
        UserError: another process holds the run, a run of this name exists and ``resume`` was not
            given, or the checkpoint to resume from is missing or damaged.
    """

    def __init__(self, path: Path, resume: str | None, report: Callable[[str], None], lock: bool = True):
        super().__init__(path)
        self.report = report
        path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = hold(path) if lock else None
        except OSError as error:
            if error.errno in NO_LOCKS:
                raise UserError(
                    f"The file system of {path} has no locks ({error.strerror}), so nothing would keep a second "
                    "process from writing this run. Choose another disk with run.root=..., or set run.lock=false and "
                    "see to it yourself."
                ) from error
            raise UserError(f"{path} cannot be locked: {error.strerror}. Choose another run.root.") from error
        try:
            self.start_from = self._find(resume)
            remove_remains(self.checkpoints)
        except UserError:
            self._let_go()
            raise

    def __enter__(self):
        self._write_status("running")
        return self

    def __exit__(self, kind, error, traceback) -> None:
        status = "finished" if error is None else "preempted" if isinstance(error, Interrupted) else "failed"
        gone = isinstance(error, FileNotFoundError) and not self._is_ours()
        if not gone:
            self._write_status(status, str(error or "").partition("\n")[0])
        self._let_go()
        if gone:
            raise UserError(f"{self.path} is gone: it was removed or renamed while the run wrote to it.") from error

    def _is_ours(self) -> bool:
        """Whether the directory that this process holds is still there."""
        return self.path.is_dir() if self._lock is None else is_held(self.path, self._lock)

    def rewind(self) -> None:
        """Start from the newest whole checkpoint there is now; from the beginning if there is none yet."""
        self.start_from = newest_whole(self.checkpoints, self.report, TO_GO_ON)

    def _find(self, resume: str | None) -> Path | None:
        if resume is None:
            require_free(self.path)
            return None
        if resume != "auto":
            given = Path(resume)
            if not given.is_dir():
                raise UserError(f"trainer.resume={resume}: there is no such checkpoint directory.")
            if not is_fluid_checkpoint(given):
                verify(given, TO_GO_ON)
            return given.resolve()
        newest = newest_whole(self.checkpoints, self.report, TO_GO_ON)
        if newest is None and list_checkpoints(self.checkpoints):
            raise UserError(f"No checkpoint in {self.checkpoints} is whole; this run cannot be continued.")
        return newest

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def _write_status(self, status: str, message: str = "") -> None:
        content = {
            "status": status,
            "message": message,
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "process": os.getpid(),
        }
        # What ends a run, a full disk for instance, must not be hidden by an error of the note about it.
        with contextlib.suppress(OSError), atomic_write(self.path / STATUS) as partial:
            write_json(partial, content)


def require_free(path: Path) -> None:
    """Refuse a directory that holds a run.

    Raises:
        UserError: it does.
    """
    if list_checkpoints(path / "checkpoints"):
        raise UserError(
            f"{path} already holds a run. Continue it with trainer.resume=auto, choose another "
            "run.name, or remove the directory."
        )


def agree_on_run(ranks: "Ranks", make: Callable[[], Run]) -> Run:
    """The run that ``make`` gives on rank 0, on every rank.

    Raises:
        UserError: rank 0 could not make it; on every rank.
    """
    if ranks.count == 1:
        return make()
    if ranks.first:
        try:
            run = make()
        except UserError as error:
            ranks.broadcast(json.dumps({"error": str(error)}))
            raise
        start = run.start_from and str(run.start_from.resolve())
        ranks.broadcast(json.dumps({"path": str(run.path.resolve()), "start_from": start}))
        return run
    received = json.loads(ranks.broadcast())
    if "error" in received:
        raise UserError(received["error"])
    return Run(Path(received["path"]), received["start_from"] and Path(received["start_from"]))
