"""TensorBoard's files, read back record by record."""

import sys

import paddle
import pytest
from event_file import read_events, scalars, texts
from test_augmentation import CLASSES, make_loader, preprocess

from imgcls.callbacks.event_files import TensorBoard
from imgcls.engine.trainer import Progress, Trainer
from imgcls.errors import UserError


def train(logger: TensorBoard, epochs: int = 2, progress: Progress | None = None) -> Trainer:
    """Three updates an epoch."""
    paddle.seed(0)
    network = paddle.nn.Sequential(paddle.nn.AdaptiveAvgPool2D(1), paddle.nn.Flatten(), paddle.nn.Linear(3, CLASSES))
    trainer = Trainer(network, preprocess)
    trainer.prepare(paddle.optimizer.SGD(0.01, parameters=network.parameters()))
    trainer.progress = progress or Progress()
    trainer.metrics = {"top1": 0.25}
    trainer.fit(make_loader(), epochs, [logger])
    return trainer


def test_figures_of_updates_and_epochs(tmp_path):
    pytest.importorskip("tensorboardX")
    trainer = train(TensorBoard(tmp_path, every=2, about="paddlepaddle 2.6.2; commit abc"))
    found = scalars(tmp_path / "tensorboard")
    assert list(found["update/loss"]) == list(found["update/lr"]) == [2, 4, 6]
    assert list(found["epoch/train_loss"]) == list(found["epoch/val_top1"]) == [3, 6]
    assert found["update/loss"][6] == pytest.approx(float(trainer.last_loss))
    assert found["epoch/train_loss"][6] == pytest.approx(trainer.totals.mean_loss())
    assert found["update/lr"][4] == pytest.approx(0.01)
    assert found["epoch/val_top1"][3] == 0.25
    assert texts(tmp_path / "tensorboard") == ["paddlepaddle 2.6.2; commit abc"]


def test_a_resumed_run_marks_what_came_after_its_checkpoint(tmp_path):
    pytest.importorskip("tensorboardX")
    train(TensorBoard(tmp_path, every=1), epochs=1, progress=Progress(epoch=0, batch=1, step=1))
    starts = [event.step for event in read_events(tmp_path / "tensorboard") if event.HasField("session_log")]
    assert starts == [2]
    assert list(scalars(tmp_path / "tensorboard")["update/loss"]) == [2, 3]


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r'pip install "imgcls\[tensorboard\]"'):
        TensorBoard(tmp_path, every=1)
