"""Ends a job of a sweep early when most of the other jobs were better after as many epochs."""

import csv
import io
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path

from imgcls.engine.callback import Callback
from imgcls.errors import UserError
from imgcls.functional.monitoring import direction, is_better
from imgcls.machine.limits import TABLE_BYTES
from imgcls.machine.reading import read_text

log = logging.getLogger("imgcls")


class Pruning(Callback):
    """Compares this job's best figure so far with what the others' ``metrics.csv`` say of the same epoch.

    The median rule (arXiv:1712.06560's baseline, Optuna's ``MedianPruner``) for ``keep=0.5``. It needs nothing but
    the sweep's directory, so any sweeper and launcher will do, also one whose jobs run at the same time.

    Args:
        directory: of this job; those beside it are the others'.
        min_jobs: others that must have come as far.
        warmup_epochs: after which no job is ended yet.
        keep: a job goes on while no more than this share of the others is better.
        monitor: the figure's name.
        mode: see ``direction``.
    """

    def __init__(
        self, directory: Path, min_jobs: int, warmup_epochs: int, keep: float, monitor: str, mode: str = "auto"
    ):
        super().__init__()
        self.directory = directory
        self.min_jobs = min_jobs
        self.warmup_epochs = warmup_epochs
        self.keep = keep
        self.monitor = monitor
        self.direction = direction(monitor, mode)
        self.best: float | None = None
        self.pruned_at: int | None = None

    def on_epoch_end(self, epoch, logs=None):
        trainer = self.trainer
        value = trainer.metrics.get(self.monitor)
        if value is None:
            return
        if is_better(value, self.best, self.direction):
            self.best = value
        now = trainer.progress.epochs_begun
        if now <= self.warmup_epochs or trainer.progress.epoch >= trainer.epochs:
            return
        seen = json.dumps(list(self._others(now))) if trainer.ranks.first else ""
        others = json.loads(trainer.ranks.broadcast(seen))  # files may grow between two looks
        better = sum(self.best is None or is_better(one, self.best, self.direction) for one in others)
        if len(others) >= self.min_jobs and better > self.keep * len(others):
            self.pruned_at = now
            trainer.stop_training = True
            if trainer.ranks.first:
                log.info(
                    "%d of %d other jobs had a better %s after %d epochs: the job ends",
                    *(better, len(others), self.monitor, now),
                )

    def ended(self):
        if self.pruned_at is None:
            return None
        return (
            f"Nothing is left to do: the job was worse than most of its sweep after {self.pruned_at} epochs. With "
            "callbacks.pruning.enabled=false it goes on."
        )

    def values(self):
        return {"monitor": self.monitor, "best": self.best, "pruned_at": self.pruned_at}

    def load_values(self, values):
        if values["monitor"] == self.monitor:
            self.best, self.pruned_at = values["best"], values["pruned_at"]

    def _others(self, epoch: int) -> Iterator[float]:
        """The best figure up to an epoch of each other job that has come as far."""
        for path in sorted(self.directory.parent.glob("*/metrics.csv")):
            if path.parent.name == self.directory.name:
                continue
            best, reached = None, 0
            for at, value in _history(path, f"val_{self.monitor}"):
                reached = max(reached, at)
                if at <= epoch and is_better(value, best, self.direction):
                    best = value
            if reached >= epoch and best is not None:
                yield best


def _history(path: Path, column: str) -> Iterator[tuple[int, float]]:
    """Epoch and figure of each row that has one; nothing of a file that cannot be read."""
    try:
        for row in csv.DictReader(io.StringIO(read_text(path, TABLE_BYTES))):
            value = float(row[column]) if row.get(column) else math.nan
            yield int(row["epoch"]), value
    except (UserError, ValueError, KeyError, TypeError, csv.Error):
        return
