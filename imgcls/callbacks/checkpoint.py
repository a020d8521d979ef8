"""Saves the whole state of a run as checkpoint directories, and loads it back."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import paddle

from imgcls.callbacks.nan_guard import ADVICE
from imgcls.engine.amp import load_float32_state
from imgcls.engine.callback import Callback
from imgcls.engine.trainer import Progress, Trainer
from imgcls.errors import UserError
from imgcls.functional.monitoring import direction, is_better
from imgcls.machine.paddle_internals import unclaimed_state
from imgcls.machine.reading import read_json, shown
from imgcls.machine.text import json_text
from imgcls.run.checkpoint import (
    Writer,
    list_checkpoints,
    point,
    progress_of,
    read_manifest,
    remove_old,
    set_aside,
    verify,
    write_checkpoint,
)
from imgcls.weights.safe_pickle import load_pickle, only_arrays

log = logging.getLogger("imgcls")


class Checkpoint(Callback):
    """Saves after epochs, after every so many updates, and when the run is interrupted.

    Rank 0 writes, the others wait for it; what is saved is the same on all.

    Args:
        root: the run's ``checkpoints`` directory.
        every: epochs between two saves; the last epoch is always saved.
        every_steps: updates between two saves, 0 for none within an epoch.
        keep: newest checkpoints kept, beside the best.
        monitor: metric that decides which is best.
        mode: see ``direction``.
        extra: more text files for each checkpoint, name to content.
        writers: functions that write more files, by name.
    """

    def __init__(
        self,
        root: Path,
        every: int,
        every_steps: int,
        keep: int,
        monitor: str,
        mode: str = "auto",
        extra: Mapping[str, str] | None = None,
        writers: Mapping[str, Writer] | None = None,
    ):
        super().__init__()
        self.root = root
        self.every = every
        self.every_steps = every_steps
        self.keep = keep
        self.monitor = monitor
        self.direction = direction(monitor, mode)
        self.extra = extra or {}
        self.writers = writers or {}
        self.best: float | None = None

    def on_train_batch_end(self, step, logs=None):
        trainer = self.trainer
        within_epoch = trainer.progress.batch < trainer.steps_per_epoch
        if self.every_steps and trainer.progress.step % self.every_steps == 0 and within_epoch:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        trainer = self.trainer
        metric = trainer.metrics.get(self.monitor)
        is_best = metric is not None and is_better(metric, self.best, self.direction)
        last = trainer.stop_training or trainer.progress.epoch >= trainer.epochs
        if is_best:
            self.best = metric
        if is_best or last or trainer.progress.epoch % self.every == 0:
            self.save(is_best)
        if metric is None and "loss" in trainer.metrics:  # of an evaluation; an own callback was to add it
            raise UserError(
                f"trainer.monitor={self.monitor}: no callback has added this metric to those of the evaluation: "
                f"{', '.join(trainer.metrics)}. Choose one of them, and continue with trainer.resume=auto."
            )

    def on_interrupt(self):
        self.save()

    def values(self):
        return {"best": self.best, "monitor": self.monitor, "direction": self.direction}

    def load_values(self, values):
        before = values.get("monitor", self.monitor), values.get("direction", "max")
        if before == (self.monitor, self.direction):
            self.best = values["best"]
        elif values["best"] is not None:
            log.warning(
                "What is best was decided by %s (%s) and is by %s (%s) now: the best checkpoint is chosen anew.",
                *(*before, self.monitor, self.direction),
            )

    def go_back_to(self, path: Path) -> None:
        """Let no checkpoint stand in the way that this run wrote after ``path``, if that is one of its own."""
        path = path.resolve()
        newer = [one for one in list_checkpoints(self.root.resolve()) if progress_of(one) > progress_of(path)]
        if path.parent != self.root.resolve() or progress_of(path) < (0, 0) or not newer:
            return
        best_is_newer = (self.root / "best").resolve() in newer
        log.warning("Checkpoints after %s are passed over, and now in %s.", path.name, set_aside(self.root, newer))
        point(self.root, "last", path)
        if best_is_newer:
            (self.root / "best").unlink()
            evaluated = ((one, _evaluated(one).get(self.monitor)) for one in list_checkpoints(self.root))
            if best := next((one for one, metric in evaluated if metric is not None and metric == self.best), None):
                point(self.root, "best", best)

    def save(self, is_best: bool = False) -> None:
        """Write a checkpoint of this moment and let ``last`` point to it, and ``best`` if it is.

        Raises:
            UserError: it cannot be written, or the weights are not finite; earlier ones are intact.
        """
        ranks = self.trainer.ranks
        if ranks.first:
            progress = self.trainer.progress
            path = write_checkpoint(self.root, progress.epoch, progress.step, self._writers())
            for link in ("last", "best") if is_best else ("last",):
                point(self.root, link, path)
            remove_old(self.root, self.keep)
        ranks.wait_for_first()

    def _writers(self):
        trainer = self.trainer
        stateful = {callback.name: callback for callback in trainer.callbacks}
        state = {
            "trainer": trainer.state(),
            "callbacks": {name: values for name, callback in stateful.items() if (values := callback.values())},
        }
        network = _named_like(trainer.network.state_dict(), trainer.weights())
        _require_finite(network, trainer.progress.step)
        tensors = {
            "network.pdparams": network,
            "optimizer.pdopt": _optimizer_state(trainer.optimizer),
            **{f"{name}.pdparams": own for name, callback in stateful.items() if (own := callback.tensors())},
        }
        texts = {"state.json": json_text(state, indent=1), **self.extra}
        return {
            **{name: partial(_save_tensors, content) for name, content in tensors.items()},
            **{name: partial(_save_text, content) for name, content in texts.items()},
            **self.writers,
        }


def restore(path: Path, trainer: Trainer, callbacks: list[Callback], same_optimizer: bool = True) -> None:
    """Put a run back to where it was when the (verified) checkpoint ``path`` was written.

    State of callbacks that the run no longer has is left out; new callbacks start fresh.

    Args:
        same_optimizer: the trainer's optimizer goes on where that of the checkpoint was; otherwise it begins.

    Raises:
        UserError: a file holds something other than a run's state.
    """
    state = _state(path)
    network, optimizer = load_pickle(path / "network.pdparams"), load_pickle(path / "optimizer.pdopt")
    if not only_arrays(network):
        raise UserError(f"{path / 'network.pdparams'} is not a dict of tensors.")
    if not all(map(_is_optimizer_state, optimizer, optimizer.values())):
        raise UserError(f"{path / 'optimizer.pdopt'} is not the state of an optimizer.")
    load_float32_state(trainer.network, network)
    if same_optimizer:
        trainer.optimizer.set_state_dict(_with_master_tensors(optimizer))
    with _values_of(path / "state.json"):
        trainer.load_state(state["trainer"])
    recorded = read_manifest(path)
    for callback in callbacks:
        if (name := f"{callback.name}.pdparams") in recorded:
            tensors = load_pickle(path / name)
            if not only_arrays(tensors):
                raise UserError(f"{path / name} is not a dict of tensors.")
            callback.load_tensors(tensors)
        if callback.name in state["callbacks"]:
            ours = type(callback).__module__.startswith("imgcls.")  # mistakes of others' code are not hidden
            with _values_of(path / "state.json") if ours else contextlib.nullcontext():
                callback.load_values(state["callbacks"][callback.name])
        if isinstance(callback, Checkpoint) and trainer.ranks.first:
            callback.go_back_to(path)


def recorded_progress(path: Path) -> Progress:
    """Where a run was when the checkpoint ``path`` was written.

    Raises:
        UserError: a file holds something other than a run's state.
    """
    with _values_of(path / "state.json"):
        return Progress(**_state(path)["trainer"]["progress"])


def _state(path: Path) -> dict:
    state = read_json(path / "state.json")
    if not isinstance(state, dict) or not all(isinstance(state.get(key), dict) for key in ("trainer", "callbacks")):
        raise UserError(f"{path / 'state.json'} is not the state of a run.")
    return state


@contextlib.contextmanager
def _values_of(file: Path) -> Iterator[None]:
    """Values of another kind than this library writes, as a message."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise UserError(f"{file} is not the state of a run: {type(error).__name__}: {shown(str(error))}.") from error


def _evaluated(path: Path) -> dict[str, float]:
    """Metrics of the weights in a checkpoint; none of one that is damaged or was written within an epoch."""
    try:
        verify(path)
    except UserError:
        return {}
    state = read_json(path / "state.json")["trainer"]
    return {} if state["progress"]["batch"] else state["metrics"]


def _is_optimizer_state(name: object, value: object) -> bool:
    if name == "master_weights":
        return only_arrays(value)
    if name == "LR_Scheduler":
        return isinstance(value, dict) and not any(isinstance(each, tuple | set) for each in value.values())
    return isinstance(name, str) and isinstance(value, np.ndarray | np.generic | float | int)


def _named_like(own: dict[str, paddle.Tensor], weights: dict[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
    """Weights under the parameters' names, which ``paddle.save`` notes down; masters have names of their own."""
    named = dict(weights)
    for key, tensor in own.items():
        if named[key] is not tensor:
            named[key] = named[key].clone()
            named[key].name = tensor.name
    return named


def _optimizer_state(optimizer: paddle.optimizer.Optimizer) -> dict:
    """The optimizer's state; what a resumed run has loaded stays aside in Paddle until the first update."""
    return {**unclaimed_state(optimizer), **optimizer.state_dict()}


def _require_finite(tensors: dict[str, paddle.Tensor], step: int) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(paddle.isfinite(tensor).all()):
            raise UserError(
                f"{name} is not finite (NaN or infinity) after {step} updates: no checkpoint of this is written, "
                f"the last one is good. {ADVICE}"
            )


def _with_master_tensors(state: dict) -> dict:
    """Paddle takes master weights from an optimizer's state as they are, and needs tensors."""
    if "master_weights" in state:
        state["master_weights"] = {name: paddle.to_tensor(value) for name, value in state["master_weights"].items()}
    return state


def _save_tensors(content: dict, path: Path) -> None:
    paddle.save(content, str(path))


def _save_text(content: str, path: Path) -> None:
    path.write_text(content, encoding="utf-8")
