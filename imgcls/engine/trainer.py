"""``Trainer``: a ``paddle.Model`` whose run can be stopped anywhere and continued to the same bits.

The loop is ``paddle.Model.fit``'s. What differs lies at its edges: a run starts at the epoch and
batch its ``progress`` says; callbacks see the batch; one ``train_batch`` is one update, whatever
``accumulate`` is; losses stay on the device until somebody asks; random numbers are a function of
(seed, step), so there is no generator state to save.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import paddle
from paddle.base import unique_name

from imgcls.callbacks.base import Callback
from imgcls.engine.amp import AmpSettings
from imgcls.losses import cross_entropy, mixed_cross_entropy, with_auxiliary
from imgcls.metrics import topk_correct


@dataclass(frozen=True)
class Batch:
    """One training batch on the device, as callbacks see it.

    ``images`` are normalised ``[N, C, H, W]``; ``indices`` the samples' numbers in the data set.
    Mixed batches have ``partner_labels`` and ``lam``, the share of ``labels``.
    """

    images: paddle.Tensor
    labels: paddle.Tensor
    indices: paddle.Tensor
    partner_labels: paddle.Tensor | None = None
    lam: float = 1.0
    smoothing: float = 0.0

    def __len__(self) -> int:
        return self.images.shape[0]

    def split(self, parts: int) -> Iterator["Batch"]:
        """Consecutive parts of nearly equal size; fewer when there are fewer samples."""
        if parts == 1:
            yield self
            return
        bounds = np.linspace(0, len(self), min(parts, len(self)) + 1).astype(int)
        for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
            partner = None if self.partner_labels is None else self.partner_labels[start:stop]
            yield replace(
                self,
                images=self.images[start:stop],
                labels=self.labels[start:stop],
                indices=self.indices[start:stop],
                partner_labels=partner,
            )


@dataclass
class Progress:
    """Where a run is: epochs finished, updates done in the current one, updates done in all."""

    epoch: int = 0
    batch: int = 0
    step: int = 0

    @property
    def epochs_begun(self) -> int:
        """Number of the epoch that was worked on last, from 1."""
        return self.epoch + (self.batch > 0)


@dataclass
class EpochTotals:
    """What an epoch has added up so far; ``loss`` is a sum over samples and stays on the device."""

    loss: Any = 0.0
    samples: int = 0
    seconds: float = 0.0
    waiting: float = 0.0

    def mean_loss(self) -> float:
        return float(self.loss) / max(self.samples, 1)


class EvaluationMeter:
    """Loss and top-k accuracy over a data set; sums stay on the device until ``result``."""

    def __init__(self, topk: Sequence[int] = (1, 5)):
        self.topk = tuple(topk)
        self.loss = 0.0
        self.correct = 0
        self.samples = 0

    def update(self, logits: paddle.Tensor, labels: paddle.Tensor, indices: paddle.Tensor) -> None:
        self.loss = self.loss + cross_entropy(logits, labels) * labels.shape[0]
        self.correct = self.correct + topk_correct(logits, labels, self.topk)
        self.samples += labels.shape[0]

    def result(self) -> dict[str, float]:
        """``{"loss": ..., "top1": ..., "top5": ...}``, accuracies in 0 to 1."""
        correct = np.asarray(self.correct, dtype=np.float64) / self.samples
        accuracies = {f"top{k}": float(share) for k, share in zip(self.topk, correct, strict=True)}
        return {"loss": float(self.loss) / self.samples, **accuracies}


class Trainer(paddle.Model):
    """Trains and evaluates one network.

    Args:
        network: a layer from images to logits (a tuple of logits with auxiliary heads in training).
        preprocess: from a loader's uint8 images to the network's input, on the device.
        seed: with the step number, the seed of everything random in an update.
        accumulate: parts an update's batch is computed in, to save memory; the gradient is the mean
            over the whole batch either way.
        amp: mixed precision.
        frozen: layers kept in evaluation mode, so that their batch-norm statistics stay as well.
    """

    def __init__(
        self,
        network: paddle.nn.Layer,
        preprocess: Callable[[paddle.Tensor], paddle.Tensor],
        *,
        seed: int = 0,
        accumulate: int = 1,
        amp: AmpSettings | None = None,
        frozen: Sequence[paddle.nn.Layer] = (),
    ):
        super().__init__(network)
        super().prepare()  # enough to evaluate
        self.preprocess = preprocess
        self.seed = seed
        self.accumulate = accumulate
        self.amp = amp or AmpSettings()
        self.scaler = self.amp.scaler()
        self.frozen = list(frozen)
        self.rank = paddle.distributed.get_rank()
        self.progress = Progress()
        self.totals = EpochTotals()
        self.epochs = 0
        self.steps_per_epoch = 0
        self.metrics: dict[str, float] = {}
        self.last_loss: paddle.Tensor | None = None
        self.callbacks: list[Callback] = []
        self.weight_views: dict[str, Callable[[], AbstractContextManager]] = {"": nullcontext}
        self._meter = EvaluationMeter()
        self._accumulator_names = unique_name.UniqueNameGenerator()

    def prepare(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Set the optimizer; the loss follows from the batch (see ``batch_loss``)."""
        self.amp.decorate(self.network, optimizer)
        super().prepare(optimizer)

    def fit(self, train_loader, epochs: int, callbacks: Sequence[Callback] = ()) -> None:
        """Train until ``epochs`` are finished, from wherever ``progress`` is.

        Args:
            train_loader: a ``paddle.io.DataLoader`` over an ``EpochSampler``, giving (images, labels,
                indices).
            callbacks: ``imgcls`` callbacks, called in this order.
        """
        self.epochs = epochs
        self.callbacks = list(callbacks)
        self.stop_training = False
        train_loader.batch_sampler.set_position(0)
        self.steps_per_epoch = len(train_loader.batch_sampler)
        remaining = epochs - self.progress.epoch
        if remaining > 0:
            super().fit(train_loader, epochs=remaining, verbose=0, callbacks=self.callbacks)

    def evaluate(self, loader, meter: EvaluationMeter | None = None) -> dict[str, float]:
        """Run the network over a loader in evaluation mode and return the meter's result."""
        self._meter = meter or EvaluationMeter()
        super().evaluate(loader, verbose=0)
        return self._meter.result()

    def train_batch(self, inputs, labels=None, update: bool = True) -> None:
        """One update: forward and backward of each part of the batch, then the optimizer."""
        paddle.seed(self._step_seed())
        batch = Batch(self.preprocess(inputs[0]), *labels)
        for callback in self.callbacks:
            batch = callback.on_batch(batch)
        self._train_mode()
        loss = 0.0
        for part in batch.split(self.accumulate):
            with self.amp.autocast():
                outputs = self._parallel_network()(part.images)
            part_loss = batch_loss(outputs, part) * (len(part) / len(batch))
            self.scaler.scale(part_loss).backward()
            loss = loss + part_loss.detach()
        # Paddle numbers an optimizer's state tensors per process; in a scope of our own they always
        # start at 0, so that a checkpoint's names fit wherever it is loaded.
        with unique_name.guard(self._accumulator_names):
            self.scaler.step(self._optimizer)
        self.scaler.update()
        self._optimizer.clear_grad()
        self.last_loss = loss
        self.totals.loss = self.totals.loss + loss * len(batch)
        self.totals.samples += len(batch)
        self.progress.step += 1
        self.progress.batch += 1

    @paddle.no_grad()
    def eval_batch(self, inputs, labels=None) -> None:
        if self.network.training:
            self.network.eval()
        with self.amp.autocast():
            logits = self.network(self.preprocess(inputs[0]))
        self._meter.update(logits.astype("float32"), *labels)

    def state(self) -> dict[str, Any]:
        """The plain part of a run's state: JSON-serialisable."""
        return {
            "progress": asdict(self.progress),
            "totals": {**asdict(replace(self.totals, loss=0.0)), "loss": float(self.totals.loss)},
            "metrics": self.metrics,
            "scaler": {key: _plain(value) for key, value in self.scaler.state_dict().items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        self.totals = EpochTotals(**state["totals"])
        self.metrics = state["metrics"]
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])

    def _run_one_epoch(self, data_loader, callbacks, mode, logs=None):
        if mode != "train":
            return super()._run_one_epoch(data_loader, callbacks, mode, logs={})
        data_loader.batch_sampler.set_position(self.progress.epoch, self.progress.batch)
        steps = _InterruptibleLoader(data_loader, self)
        logs = super()._run_one_epoch(steps, callbacks, mode, logs={}) if len(steps) else {}
        if self.progress.batch >= self.steps_per_epoch:
            self.progress.epoch += 1
            self.progress.batch = 0
        return logs

    def _parallel_network(self) -> paddle.nn.Layer:
        return getattr(self._adapter, "ddp_model", self.network)

    def _train_mode(self) -> None:
        if not self.network.training:
            self.network.train()
        for layer in self.frozen:
            layer.eval()

    def _step_seed(self) -> int:
        return int(np.random.SeedSequence([self.seed, self.progress.step, self.rank]).generate_state(1)[0])


def batch_loss(outputs: paddle.Tensor | tuple[paddle.Tensor, ...], batch: Batch) -> paddle.Tensor:
    """Mean loss of a batch, mixed and smoothed as it says; auxiliary heads add 0.3 of theirs."""

    def loss_of(logits: paddle.Tensor) -> paddle.Tensor:
        if batch.partner_labels is None:
            return cross_entropy(logits, batch.labels, batch.smoothing)
        return mixed_cross_entropy(logits, batch.labels, batch.partner_labels, batch.lam, batch.smoothing)

    return with_auxiliary(loss_of, outputs) if isinstance(outputs, list | tuple) else loss_of(outputs)


@dataclass
class _InterruptibleLoader:
    """The loader as the loop of ``paddle.Model`` sees it: stops between updates, times the waiting."""

    loader: Any
    trainer: Trainer
    batch_sampler: Any = field(init=False)

    def __post_init__(self):
        self.batch_sampler = self.loader.batch_sampler

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self):
        if self.trainer.progress.batch == 0:
            self.trainer.totals = EpochTotals()
        totals = self.trainer.totals
        batches = iter(self.loader)
        while not self.trainer.stop_training:
            asked = time.perf_counter()
            batch = next(batches, None)
            received = time.perf_counter()
            if batch is None:
                return
            yield batch
            totals.waiting += received - asked
            totals.seconds += time.perf_counter() - asked


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
