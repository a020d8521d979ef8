"""Saves the whole state of a run as checkpoint directories, and loads it back."""

import json
import logging
from functools import partial
from pathlib import Path

import paddle

from imgcls.callbacks.base import Callback
from imgcls.engine.checkpoint import list_checkpoints, point, remove_old, write_checkpoint
from imgcls.engine.trainer import Trainer
from imgcls.weights.safe_pickle import load_pickle

log = logging.getLogger("imgcls")


class Checkpoint(Callback):
    """Saves after epochs, after every so many updates, and when the run is interrupted.

    Args:
        root: the run's ``checkpoints`` directory.
        every: epochs between two saves; the last epoch is always saved.
        every_steps: updates between two saves, 0 for none within an epoch.
        keep: newest checkpoints kept, beside the best.
        monitor: metric (higher is better) that decides which is best.
        extra: more text files for each checkpoint, name to content.
    """

    def __init__(
        self,
        root: Path,
        every: int = 1,
        every_steps: int = 0,
        keep: int = 2,
        monitor: str = "top1",
        extra: dict[str, str] | None = None,
    ):
        super().__init__()
        self.root = root
        self.every = every
        self.every_steps = every_steps
        self.keep = keep
        self.monitor = monitor
        self.extra = extra or {}
        self.best: float | None = None

    def on_train_batch_end(self, step, logs=None):
        trainer = self.trainer
        within_epoch = trainer.progress.batch < trainer.steps_per_epoch
        if self.every_steps and trainer.progress.step % self.every_steps == 0 and within_epoch:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        trainer = self.trainer
        metric = trainer.metrics.get(self.monitor)
        is_best = metric is not None and (self.best is None or metric > self.best)
        last = trainer.stop_training or trainer.progress.epoch >= trainer.epochs
        if is_best:
            self.best = metric
        if is_best or last or trainer.progress.epoch % self.every == 0:
            path = self.save()
            if is_best:
                point(self.root, "best", path)
            remove_old(self.root, self.keep)

    def on_interrupt(self):
        self.save()

    def values(self):
        return {"best": self.best}

    def load_values(self, values):
        self.best = values["best"]

    def save(self) -> Path:
        """Write a checkpoint of this moment and let ``last`` point to it."""
        progress = self.trainer.progress
        path = write_checkpoint(self.root, progress.epoch, progress.step, self._writers())
        point(self.root, "last", path)
        remove_old(self.root, self.keep)
        return path

    def _writers(self):
        trainer = self.trainer
        stateful = {callback.name: callback for callback in trainer.callbacks}
        state = {
            "trainer": trainer.state(),
            "callbacks": {name: values for name, callback in stateful.items() if (values := callback.values())},
        }
        tensors = {
            "network.pdparams": trainer.network.state_dict(),
            "optimizer.pdopt": trainer._optimizer.state_dict(),
            **{f"{name}.pdparams": own for name, callback in stateful.items() if (own := callback.tensors())},
        }
        texts = {"state.json": json.dumps(state, indent=1), **self.extra}
        return {
            **{name: partial(_save_tensors, content) for name, content in tensors.items()},
            **{name: partial(_save_text, content) for name, content in texts.items()},
        }


def restore(path: Path, trainer: Trainer, callbacks: list[Callback]) -> None:
    """Put a run back to where it was when the (verified) checkpoint ``path`` was written.

    State of callbacks that the run no longer has is left out; new callbacks start fresh.
    """
    state = json.loads((path / "state.json").read_text())
    trainer.network.set_state_dict(load_pickle(path / "network.pdparams"))
    trainer._optimizer.set_state_dict(load_pickle(path / "optimizer.pdopt"))
    trainer.load_state(state["trainer"])
    for callback in callbacks:
        tensors = path / f"{callback.name}.pdparams"
        if tensors.exists():
            callback.load_tensors(load_pickle(tensors))
        if callback.name in state["callbacks"]:
            callback.load_values(state["callbacks"][callback.name])
    for newer in list_checkpoints(path.parent):
        if newer.name > path.name:
            log.warning("%s is passed over.", newer)


def _save_tensors(content: dict, path: Path) -> None:
    paddle.save(content, str(path))


def _save_text(content: str, path: Path) -> None:
    path.write_text(content)
