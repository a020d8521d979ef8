"""Pruning: what the other jobs of a sweep had reached decides, at the same epoch and in the right direction."""

import csv

import paddle
import pytest
from test_augmentation import CLASSES, make_loader, preprocess

from imgcls.callbacks.pruning import Pruning
from imgcls.engine.callback import Callback
from imgcls.engine.ranks import Ranks
from imgcls.engine.trainer import Trainer


@pytest.fixture(autouse=True)
def ranks_exchange_texts(monkeypatch):
    """What several ranks could not exchange is refused of one, too."""
    plain = Ranks.broadcast

    def checked(self, text=""):
        assert isinstance(text, str)
        return plain(self, text)

    monkeypatch.setattr(Ranks, "broadcast", checked)


class Evaluated(Callback):
    """Gives each epoch a figure, as an evaluation does."""

    def __init__(self, name, values):
        super().__init__()
        self.figure, self.figures = name, list(values)

    def on_train_epoch_end(self):
        self.trainer.metrics = {self.figure: self.figures[self.trainer.progress.epochs_begun - 1]}


def sweep(directory, column, *histories):
    for number, values in enumerate(histories):
        job = directory / f"job-{number}"
        job.mkdir()
        with (job / "metrics.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", "step", column])
            writer.writerows([epoch, 3 * epoch, value] for epoch, value in enumerate(values, start=1))


def epochs_of(directory, values, monitor="top1", **options):
    """How many epochs a job of these figures has."""
    given = {"min_jobs": 3, "warmup_epochs": 0, "keep": 0.5} | options
    pruning = Pruning(directory / "job-9", monitor=monitor, **given)
    network = paddle.nn.Sequential(paddle.nn.AdaptiveAvgPool2D(1), paddle.nn.Flatten(), paddle.nn.Linear(3, CLASSES))
    trainer = Trainer(network, preprocess)
    trainer.prepare(paddle.optimizer.SGD(0.01, parameters=network.parameters()))
    trainer.fit(make_loader(), len(values), [Evaluated(monitor, values), pruning])
    assert (pruning.pruned_at is not None) == (pruning.ended() is not None) == (trainer.progress.epoch < len(values))
    return trainer.progress.epoch


def test_a_job_in_the_worse_half_ends(tmp_path):
    sweep(tmp_path, "val_top1", (0.2, 0.5, 0.6), (0.4, 0.5, 0.6), (0.6, 0.7, 0.7), ("", "", ""), (0.9,))
    assert epochs_of(tmp_path, (0.45, 0.45, 0.9)) == 2  # two of four were better, then three of three
    assert epochs_of(tmp_path, (0.45, 0.6, 0.6, 0.6)) == 4  # one of three, and of the fourth epoch nobody knows
    assert epochs_of(tmp_path, (0.1, 0.9)) == 1
    assert epochs_of(tmp_path, (0.1, 0.9), warmup_epochs=1) == 2
    assert epochs_of(tmp_path, (0.1, 0.1), min_jobs=5) == 2
    assert epochs_of(tmp_path, (0.1, 0.1, 0.1), keep=1.0) == 3
    assert epochs_of(tmp_path, (0.5, 0.6, 0.6), keep=0.25) == 1


def test_the_best_so_far_counts_not_the_last(tmp_path):
    sweep(tmp_path, "val_top1", (0.8, 0.1), (0.8, 0.1), (0.8, 0.1))
    assert epochs_of(tmp_path, (0.9, 0.0, 0.0)) == 3
    assert epochs_of(tmp_path, (0.5, 0.5, 0.5), warmup_epochs=1) == 2


def test_a_lower_loss_is_better_and_no_number_is_worse(tmp_path):
    sweep(tmp_path, "val_loss", (2.0, 1.0), (2.0, 1.0), (2.0, 1.0))
    assert epochs_of(tmp_path, (1.9, 0.9, 0.1), "loss") == 3
    assert epochs_of(tmp_path, (2.1, 0.9, 0.1), "loss") == 1
    assert epochs_of(tmp_path, (float("nan"), 0.1), "loss") == 1


def test_a_damaged_table_counts_for_nothing(tmp_path):
    sweep(tmp_path, "val_top1", (0.9, 0.9), (0.9, 0.9), (0.9, 0.9))
    (tmp_path / "job-1" / "metrics.csv").write_bytes(b"epoch,val_top1\none,\xff\n")
    assert epochs_of(tmp_path, (0.1, 0.1)) == 2
    assert epochs_of(tmp_path, (0.1, 0.1), min_jobs=2) == 1


def test_what_is_recorded_is_of_one_figure(tmp_path):
    pruning = Pruning(tmp_path / "job-0", 1, 0, 0.5, "top1")
    pruning.load_values({"monitor": "top1", "best": 0.5, "pruned_at": 3})
    assert "after 3 epochs" in pruning.ended()
    other = Pruning(tmp_path / "job-0", 1, 0, 0.5, "loss")
    other.load_values(pruning.values())
    assert other.ended() is None
    assert other.best is None


def test_alone_a_job_goes_on(tmp_path):
    assert epochs_of(tmp_path, (0.5, 0.5), min_jobs=1) == 2
