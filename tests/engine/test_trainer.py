"""The Trainer against a loop written out by hand, and against itself after a resume."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F

from imgcls.callbacks.checkpoint import Checkpoint, restore
from imgcls.callbacks.ema import EMA
from imgcls.callbacks.evaluation import Evaluation
from imgcls.callbacks.history import History
from imgcls.callbacks.label_smoothing import LabelSmoothing
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.callbacks.max_steps import MaxSteps
from imgcls.callbacks.mixup import Mixup
from imgcls.callbacks.nan_guard import NanGuard
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.engine.amp import FLOAT32
from imgcls.engine.callback import Callback
from imgcls.engine.optimizers import OptimizerLR, build_optimizer
from imgcls.engine.trainer import Trainer
from imgcls.errors import UserError
from imgcls.functional.normalize import normalize
from imgcls.functional.schedules import build_schedule

OPTIONS = {"momentum": 0.9, "use_nesterov": False, "weight_decay": 1e-3}
SAMPLES, BATCH, SIZE, CLASSES = 22, 8, 16, 5  # three updates an epoch, the last of six samples


class SmallNet(nn.Layer):
    """A convolution, a batch norm, dropout and a head: one of everything that has state or chance."""

    def __init__(self, dropout: float = 0.3, norm: bool = True):
        super().__init__()
        self.conv = nn.Conv2D(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2D(8) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, CLASSES)
        for name, parameter in self.named_parameters():  # as this library's networks do
            parameter.name = name

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        return self.head(self.dropout(F.adaptive_avg_pool2d(x, 1).flatten(1)))


def preprocess(images):
    return normalize(images, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def make_loader(shuffle: bool = True, batch: int = BATCH):
    samples = synthetic_samples(SAMPLES, CLASSES)
    sampler = EpochSampler(len(samples), batch, shuffle=shuffle, seed=3)
    return build_loader(SyntheticDataset(samples, SIZE, seed=1), sampler)


def make_trainer(
    epochs: int = 2, accumulate: int = 1, grad_clip_norm: float | None = None, amp=FLOAT32, compile=False, **net_options
):
    paddle.seed(7)
    network = SmallNet(**net_options)
    trainer = Trainer(network, preprocess, seed=5, accumulate=accumulate, amp=amp, compile=compile)
    schedule = build_schedule("cosine_step", base_lr=0.1, steps_per_epoch=3, epochs=epochs)
    trainer.prepare(
        build_optimizer("momentum", network, OptimizerLR(schedule), **OPTIONS, grad_clip_norm=grad_clip_norm)
    )
    return trainer


def weights_of(trainer):
    return {name: tensor.numpy().copy() for name, tensor in trainer.network.state_dict().items()}


def assert_same_bits(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert np.array_equal(value, second[name]), name


class Recorder(Callback):
    """Learning rate and loss of every update."""

    def __init__(self):
        super().__init__()
        self.rates, self.losses = [], []

    def on_batch(self, batch):
        self.rates.append(self.trainer.learning_rate)
        return batch

    def on_train_batch_end(self, step, logs=None):
        self.losses.append(float(self.trainer.last_loss))


def test_fit_equals_a_loop_by_hand():
    trainer = make_trainer(dropout=0.0)
    paddle.seed(7)
    network = SmallNet(dropout=0.0)
    optimizer = paddle.optimizer.Momentum(0.1, parameters=network.parameters(), weight_decay=1e-3)
    recorder = Recorder()
    trainer.fit(make_loader(), 2, [LRSchedule(), recorder])

    loader, losses = make_loader(), []
    for epoch in range(2):
        loader.batch_sampler.set_position(epoch)
        for images, labels, _ in loader:
            optimizer.set_lr(0.1 * (1 + np.cos(np.pi * len(losses) / 6)) / 2)
            network.train()
            loss = F.cross_entropy(network(preprocess(images)), labels)
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            losses.append(float(loss))
    np.testing.assert_allclose(recorder.losses, losses, rtol=1e-5)
    for name, value in weights_of(trainer).items():
        np.testing.assert_allclose(value, network.state_dict()[name].numpy(), rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_compiled_network_learns_the_same(accumulate):
    """Dropout and batch norm included, batches of two sizes, and an evaluation between the epochs."""
    results = []
    for compile in (False, True):
        trainer, recorder = make_trainer(accumulate=accumulate, compile=compile), Recorder()
        evaluation = Evaluation(make_loader(shuffle=False), every=1, topk=(1,))
        trainer.fit(make_loader(), 2, [LRSchedule(), recorder, evaluation])
        results.append((recorder.losses, trainer.metrics, weights_of(trainer)))
    (losses, metrics, weights), (compiled_losses, compiled_metrics, compiled_weights) = results
    np.testing.assert_allclose(compiled_losses, losses, rtol=1e-6)
    assert compiled_metrics == pytest.approx(metrics, rel=1e-5)
    assert compiled_weights.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_allclose(compiled_weights[name], value, rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_schedule_moves_once_an_update():
    trainer, recorder = make_trainer(), Recorder()
    trainer.fit(make_loader(), 2, [LRSchedule(), recorder])
    expected = [0.1 * (1 + np.cos(np.pi * step / 6)) / 2 for step in range(6)]
    np.testing.assert_allclose(recorder.rates, expected, rtol=1e-6)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulation_is_the_mean_over_the_whole_batch(clip):
    """Without batch norm, which sees parts, the parts add up to the whole: also in the last, uneven batch."""
    options = {"dropout": 0.0, "norm": False, "grad_clip_norm": clip}
    whole, parts = make_trainer(**options), make_trainer(accumulate=3, **options)
    records = Recorder(), Recorder()
    whole.fit(make_loader(), 2, [LRSchedule(), records[0]])
    parts.fit(make_loader(), 2, [LRSchedule(), records[1]])
    assert len(records[0].losses) == len(records[1].losses) == 6
    np.testing.assert_allclose(records[0].losses, records[1].losses, rtol=1e-5)
    for name, value in weights_of(whole).items():
        np.testing.assert_allclose(value, weights_of(parts)[name], rtol=1e-4, atol=1e-6, err_msg=name)


def all_callbacks(directory, loader, max_steps=None):
    limit = [MaxSteps(max_steps)] if max_steps else []
    return [
        Mixup(0.4, stop_epoch=None),
        LabelSmoothing(0.1),
        EMA(0.99),
        LRSchedule(),
        *limit,
        Evaluation(loader, every=1, topk=(1, 5)),
        History(directory),
        Checkpoint(directory / "checkpoints", every=1, every_steps=1, keep=10, monitor="top1"),
    ]


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 5])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, stop_after):
    """Mid-epoch and at its end, with all that has state; in one process, where Paddle's counters go on."""
    validation = make_loader(shuffle=False)
    undisturbed = make_trainer(epochs=2)
    (tmp_path / "whole").mkdir()
    whole = all_callbacks(tmp_path / "whole", validation)
    undisturbed.fit(make_loader(), 2, whole)

    (tmp_path / "parts").mkdir()
    first = make_trainer(epochs=2)
    first.fit(make_loader(), 2, all_callbacks(tmp_path / "parts", validation, max_steps=stop_after))
    paddle.seed(123)  # whatever the second process starts with must not matter
    second = make_trainer(epochs=2)
    resumed = all_callbacks(tmp_path / "parts", validation)
    checkpoint = sorted((tmp_path / "parts" / "checkpoints").glob(f"epoch-*-step-*{stop_after}"))[-1]
    restore(checkpoint, second, resumed)
    second.fit(make_loader(), 2, resumed)

    assert second.progress == undisturbed.progress
    assert_same_bits(weights_of(second), weights_of(undisturbed))
    averages = [{name: value.numpy() for name, value in callbacks[2].shadow.items()} for callbacks in (resumed, whole)]
    assert_same_bits(*averages)
    timing = ("images_per_second", "data_wait")
    rows = [
        [{name: value for name, value in row.items() if name not in timing} for row in callbacks[-2].rows]
        for callbacks in (resumed, whole)
    ]
    assert rows[0] == rows[1]


def test_frozen_layers_keep_weights_and_statistics():
    trainer = make_trainer()
    for parameter in trainer.network.norm.parameters():
        parameter.stop_gradient = True
    trainer.frozen = [trainer.network.norm]
    before = weights_of(trainer)
    trainer.fit(make_loader(), 1, [LRSchedule()])
    after = weights_of(trainer)
    for name in before:
        assert np.array_equal(before[name], after[name]) == name.startswith("norm"), name


def test_a_loss_that_is_not_finite_stops_the_run():
    class Poison(Callback):
        def on_batch(self, batch):
            if self.trainer.progress.step == 1:
                return replace(batch, images=batch.images * float("nan"))
            return batch

    trainer = make_trainer()
    with pytest.raises(UserError, match="not finite"):
        trainer.fit(make_loader(), 2, [Poison(), LRSchedule(), NanGuard(every=2, max_skipped=20)])
    assert trainer.progress.step == 2


def test_evaluation_is_the_mean_over_samples():
    """Batches of unequal size must not weigh the same."""
    trainer = make_trainer()
    whole = trainer.evaluate(make_loader(shuffle=False, batch=SAMPLES))
    parts = trainer.evaluate(make_loader(shuffle=False, batch=8))
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert parts["top1"] == whole["top1"]
    assert not trainer.network.training
