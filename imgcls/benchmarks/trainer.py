"""What the ``Trainer`` costs: ``fit`` with the default callbacks against a bare dygraph loop."""

import tempfile
import time
from pathlib import Path
from statistics import median

import paddle

from imgcls.callbacks.checkpoint import Checkpoint
from imgcls.callbacks.history import History
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.callbacks.nan_guard import NanGuard
from imgcls.callbacks.progress import ProgressBar
from imgcls.data.loading.sampler import EpochSampler
from imgcls.engine.callback import Callback
from imgcls.engine.optimizers import OptimizerLR, build_optimizer
from imgcls.engine.trainer import Trainer
from imgcls.functional.losses import cross_entropy
from imgcls.functional.normalize import normalize
from imgcls.functional.schedules import build_schedule
from imgcls.models.registry import IMAGENET_MEAN, IMAGENET_STD, build_model


def measure_trainer(model: str, size: int, batch_size: int, steps: int, warmup: int, repeats: int) -> dict[str, float]:
    """Medians over ``repeats`` alternating measurements.

    Returns:
        ``fit`` and ``loop`` in steps per second, and ``ratio``, the median of the pairs' ratios
        (1 when ``fit`` costs nothing).
    """
    fit, loop = _Fit(model, size, batch_size, steps, warmup), _Loop(model, size, batch_size, steps, warmup)
    pairs = []
    for repeat in range(repeats):
        # each goes first in every other pair: what drifts falls on both alike
        first, second = (fit, loop) if repeat % 2 == 0 else (loop, fit)
        seconds = {first: first.run(), second: second.run()}
        pairs.append((seconds[fit], seconds[loop]))
    return {
        "fit": steps / median(fit for fit, _ in pairs),
        "loop": steps / median(loop for _, loop in pairs),
        "ratio": median(loop / fit for fit, loop in pairs),
    }


class _MemoryLoader:
    """The same batch over and over, as fast as it can be handed out."""

    def __init__(self, batch: list[paddle.Tensor], steps: int):
        self.batch = batch
        self.batch_sampler = EpochSampler(steps * len(batch[1]), len(batch[1]))

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self):
        return iter([self.batch] * len(self))


class _Clock(Callback):
    """Seconds between the end of the warm-up and the last update."""

    def __init__(self, warmup: int):
        super().__init__()
        self.warmup = warmup

    def on_train_batch_end(self, step, logs=None):
        if step + 1 == self.warmup:
            self.started = time.perf_counter()
        self.stopped = time.perf_counter()


def _batch(size: int, batch_size: int) -> list[paddle.Tensor]:
    images = paddle.randint(0, 256, [batch_size, size, size, 3]).astype("uint8")
    labels = paddle.arange(batch_size) % 1000
    return [images, labels, labels]


class _Fit:
    def __init__(self, model: str, size: int, batch_size: int, steps: int, warmup: int):
        self.network = build_model(model)
        self.loader = _MemoryLoader(_batch(size, batch_size), warmup + steps)
        self.warmup = warmup

    def run(self) -> float:
        schedule = build_schedule("cosine", base_lr=0.001, steps_per_epoch=len(self.loader), epochs=1)
        trainer = Trainer(self.network, lambda images: normalize(images, IMAGENET_MEAN, IMAGENET_STD))
        options = {"momentum": 0.9, "use_nesterov": False, "weight_decay": 1e-4}
        trainer.prepare(build_optimizer("momentum", self.network, OptimizerLR(schedule), **options))
        clock = _Clock(self.warmup)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory)
            always = [
                LRSchedule(),
                NanGuard(every=10, max_skipped=20),
                History(path),
                ProgressBar(every=10),
                Checkpoint(path / "checkpoints", every=1, every_steps=0, keep=2, monitor="top1"),
            ]
            trainer.fit(self.loader, 1, [*always, clock])
        return clock.stopped - clock.started


class _Loop:
    def __init__(self, model: str, size: int, batch_size: int, steps: int, warmup: int):
        self.network = build_model(model)
        self.batch = _batch(size, batch_size)
        self.steps = steps
        self.warmup = warmup

    def run(self) -> float:
        network = self.network
        network.train()
        optimizer = paddle.optimizer.Momentum(0.001, parameters=network.parameters(), weight_decay=1e-4)
        for step in range(self.warmup + self.steps):
            if step == self.warmup:
                started = time.perf_counter()
            images, labels, _ = self.batch
            logits = network(normalize(images, IMAGENET_MEAN, IMAGENET_STD))
            cross_entropy(logits, labels).backward()
            optimizer.step()
            optimizer.clear_grad()
        return time.perf_counter() - started
