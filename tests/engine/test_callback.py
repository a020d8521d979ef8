"""A callback of the user's own sees what ours see, and may end the run: early stopping, from outside the package."""

import json
import textwrap

import pytest
from test_trainer import all_callbacks, make_loader, make_trainer, weights_of
from tiny_run import TINY, assert_same_end, finish, last, rows, starter, status

from imgcls.callbacks.checkpoint import Checkpoint, restore
from imgcls.callbacks.evaluation import Evaluation
from imgcls.callbacks.history import History
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.engine.callback import Callback
from imgcls.errors import UserError
from imgcls.run.checkpoint import list_checkpoints, point
from imgcls.weights.safe_pickle import load_pickle

OWN = """
    import os
    import signal

    from imgcls.engine.callback import Callback

    class Interruption(Callback):
        def on_batch(self, batch):
            if self.trainer.progress.step == 8:
                os.kill(os.getpid(), signal.SIGTERM)
            return batch

    class EarlyStopping(Callback):
        def __init__(self, monitor="top1", patience=1, min_delta=0.0):
            super().__init__()
            self.monitor = monitor
            self.patience = patience
            self.min_delta = min_delta
            self.best = None
            self.waited = 0

        def on_epoch_end(self, epoch, logs=None):
            metric = self.trainer.metrics.get(self.monitor)
            if metric is None:
                return
            if self.best is None or metric > self.best + self.min_delta:
                self.best, self.waited = metric, 0
                return
            self.waited += 1
            if self.waited >= self.patience:
                self.trainer.stop_training = True

        def values(self):
            return {"best": self.best, "waited": self.waited}

        def load_values(self, values):
            self.best, self.waited = values["best"], values["waited"]
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Nothing is better than the first epoch by more than 1, so the run ends with its third."""
    directory = tmp_path_factory.mktemp("own")
    (directory / "own.py").write_text(textwrap.dedent(OWN))
    stopping = "{_target_: own.EarlyStopping, patience: 2, min_delta: 1}"
    arguments = (*TINY, "trainer.epochs=9", "callbacks.ema.enabled=true")
    with starter(directory) as start:
        interrupted = start(
            *arguments, "run.name=parts", f"callbacks.extra=[{stopping},{{_target_: own.Interruption}}]"
        )
        arguments = (*arguments, f"callbacks.extra=[{stopping}]")
        whole = start(*arguments, "run.name=whole")
        finish(interrupted, 143)
        assert "after 9 updates" in finish(start(*arguments, "run.name=parts", "trainer.resume=auto"))
        finish(whole)
    return directory / "outputs"


def test_a_run_stops_early(runs):
    run = runs / "whole"
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3"]
    assert all(row["val_top1"] and row["val_top1_ema"] for row in rows(run))
    assert status(run) == "finished"
    assert last(run).name == "epoch-0003-step-00000018"
    kept = json.loads((last(run) / "state.json").read_text())["callbacks"]["earlystopping"]
    assert kept == {"best": float(rows(run)[0]["val_top1"]), "waited": 2}
    assert json.loads((run / "summary.json").read_text())["epochs"] == 3


def test_a_run_interrupted_before_stops_at_the_same_update(runs):
    assert_same_end(runs / "whole", runs / "parts")


class Seen(Callback):
    """Ends the run in an epoch, if it is told which; notes the metrics of each."""

    def __init__(self, last: int | None = None):
        super().__init__()
        self.last = last
        self.metrics: list[dict] = []

    def on_epoch_end(self, epoch, logs=None):
        self.metrics.append(dict(self.trainer.metrics))
        if self.trainer.progress.epoch == self.last:
            self.trainer.stop_training = True


def test_metrics_are_there_wherever_a_callback_stands():
    trainer, before, after = make_trainer(epochs=3), Seen(), Seen()
    evaluation = Evaluation(make_loader(shuffle=False), every=2, topk=(1,))
    trainer.fit(make_loader(), 3, [before, LRSchedule(), evaluation, after])
    assert before.metrics == after.metrics
    assert [sorted(metrics) for metrics in before.metrics] == [[], ["loss", "top1"], ["loss", "top1"]]
    assert before.metrics[1] != before.metrics[2] == trainer.metrics


@pytest.mark.parametrize("stop", [1, 2])
def test_the_epoch_that_a_callback_makes_the_last_is_evaluated_and_saved(tmp_path, stop):
    """Whether an evaluation was due in it or not."""
    loader = make_loader(shuffle=False)
    trainer, own = make_trainer(epochs=5), Seen(stop)
    callbacks = [own, *all_callbacks(tmp_path, loader)]
    evaluation, history = callbacks[-3:-1]
    evaluation.every = 2
    trainer.fit(make_loader(), 5, callbacks)
    assert trainer.progress.epoch == stop == len(history.rows)
    assert trainer.metrics.keys() == {"loss", "top1", "top5", "loss_ema", "top1_ema", "top5_ema"}
    assert history.rows[-1]["val_top1"] == trainer.metrics["top1"]
    saved = (tmp_path / "checkpoints" / "last").resolve()
    assert saved.name == f"epoch-{stop:04d}-step-{3 * stop:08d}"
    assert json.loads((saved / "state.json").read_text())["trainer"]["metrics"] == trainer.metrics


class Scores(Callback):
    """Gives each epoch a metric of its own, out of a list."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def on_epoch_end(self, epoch, logs=None):
        self.trainer.metrics["score"] = self.scores[self.trainer.progress.epoch - 1]


def checkpoint(directory, monitor: str, mode: str = "auto") -> Checkpoint:
    return Checkpoint(directory / monitor / mode, every=1, every_steps=0, keep=9, monitor=monitor, mode=mode)


def test_the_best_checkpoint_is_the_best_by_its_monitor(tmp_path):
    scores = [0.5, float("nan"), 0.75, 0.25, 0.75]
    saved = [
        checkpoint(tmp_path, monitor, mode) for monitor, mode in (("score", "max"), ("score", "min"), ("loss", "auto"))
    ]
    history, trainer = History(tmp_path), make_trainer(epochs=5)
    evaluation = Evaluation(make_loader(shuffle=False), every=1, topk=(1,))
    trainer.fit(make_loader(), 5, [Scores(scores), LRSchedule(), evaluation, history, *saved])
    losses = [row["val_loss"] for row in history.rows]
    for one, epoch in zip(saved, (3, 4, losses.index(min(losses)) + 1), strict=True):
        assert (one.root / "best").resolve().name.startswith(f"epoch-{epoch:04d}"), one.monitor
    assert (saved[2].best, saved[0].values()["direction"], saved[2].values()["direction"]) == (
        min(losses),
        "max",
        "min",
    )


def test_a_metric_that_no_callback_adds_is_named_and_the_epoch_kept(tmp_path):
    trainer, saved = make_trainer(epochs=2), checkpoint(tmp_path, "score")
    evaluation = Evaluation(make_loader(shuffle=False), every=1, topk=(1,))
    with pytest.raises(UserError, match=r"trainer\.monitor=score: no callback has added this metric.*: loss, top1\."):
        trainer.fit(make_loader(), 2, [LRSchedule(), evaluation, saved])
    assert (saved.root / "last").resolve().name.startswith("epoch-0001")


def test_the_best_of_another_monitor_is_no_measure(tmp_path, caplog):
    saved = checkpoint(tmp_path, "loss")
    for before in (
        {"best": 0.9, "monitor": "top1", "direction": "max"},
        {"best": 2.5},
    ):  # the second of earlier versions
        saved.load_values(before)
        assert saved.best is None
        assert "the best checkpoint is chosen anew" in caplog.text
        caplog.clear()
    saved.load_values({"best": 0.5, "monitor": "loss", "direction": "min"})
    assert saved.best == 0.5
    top = checkpoint(tmp_path, "top1")
    top.load_values({"best": 0.5})
    assert (top.best, caplog.text) == (0.5, "")


def test_a_run_that_goes_back_leaves_what_came_after_aside(tmp_path):
    """Under the same names other weights are saved then, and of them the newest is kept."""

    def callbacks():
        evaluation = Evaluation(make_loader(shuffle=False), every=1, topk=(1,))
        saved = Checkpoint(tmp_path / "checkpoints", every=1, every_steps=2, keep=9, monitor="loss", mode="max")
        return [LRSchedule(), evaluation, History(tmp_path), saved]

    make_trainer(epochs=3).fit(make_loader(), 3, callbacks())
    root = tmp_path / "checkpoints"
    names = [path.name for path in list_checkpoints(root)]
    first = root / "epoch-0001-step-00000003"
    for monitor_best in ("epoch-0003-step-00000009", first.name):
        point(root, "best", root / monitor_best)
        trainer, again = make_trainer(epochs=3, grad_clip_norm=0.01), callbacks()
        restore(first, trainer, again)
        assert [path.name for path in list_checkpoints(root)] == names[: names.index(first.name) + 1]
        assert sorted(path.name for path in (root / "passed_over").iterdir()) == names[names.index(first.name) + 1 :]
        assert (root / "last").resolve() == (root / "best").resolve() == first
        trainer.fit(make_loader(), 3, again)
        assert [path.name for path in list_checkpoints(root)] == names
        saved = load_pickle(root / "last" / "network.pdparams")
        assert all((saved[name] == value).all() for name, value in weights_of(trainer).items())
    restore(root / names[-1], make_trainer(epochs=3), callbacks())
    assert [path.name for path in list_checkpoints(root)] == names
