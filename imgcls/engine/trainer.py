"""``Trainer``: a ``paddle.Model`` whose run can be stopped anywhere and continued to the same bits.

The loop is ``paddle.Model.fit``'s. What differs lies at its edges: a run starts at the epoch and
batch its ``progress`` says; callbacks see the batch; one ``train_batch`` is one update, whatever
``accumulate`` is; losses stay on the device until somebody asks; random numbers are a function of
(seed, step, rank), so there is no generator state to save.

With several ranks, each has every ``ranks``-th image of the batch. After an update all of them hold
the same weights, statistics, loss and progress, those of one process with the whole batch.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import paddle
from paddle.distributed import fleet

from imgcls.engine import ranks
from imgcls.engine.amp import FLOAT32, AmpSettings, float32_state
from imgcls.engine.batch import Batch, Loss, batch_loss
from imgcls.engine.callback import Callback
from imgcls.engine.fastest_way import EAGER, take_fastest
from imgcls.engine.meters import EvaluationMeter
from imgcls.engine.onednn import compile_with_onednn, layer_by_layer
from imgcls.engine.shared_means import SharedMeans, share_means
from imgcls.engine.sync_batch_norm import BATCH_NORMS, SyncBatchNorm
from imgcls.errors import UserError
from imgcls.machine import pulse
from imgcls.machine.paddle_graphs import has_onednn_graphs, run_operators_in_order, take_names_of_any_script
from imgcls.machine.paddle_internals import OpenModel, batch_norm_parts, name_scope

log = logging.getLogger("imgcls")

ONEDNN = "onednn"
"""The way to compile that is for CPUs."""

AUTO = "auto"
"""Whichever way is faster on this CPU."""

MAX_COUNT = 1 << 53
"""Of epochs, batches and updates that a state may tell."""

GPU_SIGNAL_CHECK = 10
"""Updates between two looks, on a GPU, at whether any rank has received a signal: each waits for the device."""


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
    """What an epoch has added up so far, over all ranks; ``loss`` is a sum over samples and stays on the device.

    ``skipped`` updates, whose float16 gradients overflowed, are in neither ``loss`` nor ``samples``.
    """

    loss: Any = 0.0
    samples: int = 0
    skipped: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    _last: float | None = None

    def mean_loss(self) -> float:
        return float(self.loss) / max(self.samples, 1)

    def images_per_second(self) -> float:
        return self.samples / max(self.seconds, 1e-9)

    def waiting_share(self) -> float:
        """Share of the time that training waited for data, 0 to 1."""
        return self.waiting / max(self.seconds, 1e-9)

    def tick(self) -> float:
        """Add the time since the last tick to ``seconds``, and return it."""
        now = time.perf_counter()
        passed = 0.0 if self._last is None else now - self._last
        self._last = now
        self.seconds += passed
        return passed

    def state(self) -> dict[str, float]:
        """JSON-serialisable; the clock starts anew."""
        return {**asdict(replace(self, loss=0.0, _last=None)), "loss": float(self.loss)}


class EvaluationInterrupted(Exception):
    """A signal on any rank has ended an evaluation early, on all of them."""


class Trainer(OpenModel):
    """Trains and evaluates one network.

    Args:
        network: a layer from images to logits (a tuple of logits with auxiliary heads in training).
        preprocess: from a loader's uint8 images to the network's input, on the device.
        seed: with the step number, the seed of everything random in an update.
        accumulate: parts an update's batch is computed in, to save memory; the gradient is the mean
            over the whole batch either way.
        amp: mixed precision.
        frozen: layers kept in evaluation mode, so that their batch-norm statistics stay as well.
        compile: turn the network's ``forward`` into a graph (``paddle.jit.to_static``, in place) at the
            first batch; the results are those of the layers called one by one. ``onednn``: on a CPU, with
            oneDNN's convolutions, see ``compile_with_onednn``. ``auto``: on a CPU and in float32, if that is faster,
            see ``take_fastest``; else not.
        loss: of a training batch, in place of cross entropy; evaluation reports cross entropy.
        former_head: tensors of the weights' own last layer, by their names here, where it was made for other classes;
            the head may begin with them, see ``app.probe``.

    Raises:
        UserError: emulated bfloat16 is to be compiled, or a GPU to compute with oneDNN.
    """

    def __init__(
        self,
        network: paddle.nn.Layer,
        preprocess: Callable[[paddle.Tensor], paddle.Tensor],
        *,
        seed: int = 0,
        accumulate: int = 1,
        amp: AmpSettings = FLOAT32,
        frozen: Sequence[paddle.nn.Layer] = (),
        compile: bool | str = False,
        loss: Loss | None = None,
        former_head: Mapping[str, np.ndarray] = MappingProxyType({}),
    ):
        self.ranks = ranks.current()
        self.amp = amp.here()
        if compile and compile != AUTO and self.amp.emulated:
            raise UserError(
                f"trainer.compile={str(compile).lower()}: the CPU's emulated bfloat16 cannot be compiled. Leave out "
                "one of them."
            )
        if compile == ONEDNN and paddle.device.get_device() != "cpu":
            raise UserError("trainer.compile=onednn is for the CPU: set trainer.gpus=0, or trainer.compile=true.")
        self.amp.cast(network)
        with ranks.quiet() if self.ranks.count > 1 else nullcontext():
            super().__init__(network)  # wraps the network in DataParallel if there are ranks
        super().prepare()  # enough to evaluate
        self.preprocess = preprocess
        self.seed = seed
        self.accumulate = accumulate
        self.compile = compile
        self._way: str | None = None
        self._chosen = False
        self._sync_norms = [layer for layer in network.sublayers() if isinstance(layer, SyncBatchNorm)]
        self._eager_for = self._why_eager(network) if compile == AUTO else None
        if self._eager_for:
            log.info("trainer.compile=auto: eager, %s", self._eager_for)
        self.loss = loss
        self.former_head = former_head
        self.scaler = self.amp.scaler()
        self.frozen = list(frozen)
        self._frozen_of_head: list[paddle.nn.Layer] = []
        self.progress = Progress()
        self.totals = EpochTotals()
        self.epochs = 0
        self.steps_per_epoch = 0
        self.global_batch_size = 0
        self.num_samples = 0
        self.metrics: dict[str, float] = {}
        self.last_loss: paddle.Tensor | None = None
        self.callbacks: list[Callback] = []
        self.weight_views: dict[str, Callable[[], AbstractContextManager]] = {"": nullcontext}
        self.signalled = False
        """Set by a signal handler on this rank; see ``stop_agreed``."""
        self._signals = 0.0
        self.on_features = False
        """Whether batches hold feature maps in place of images; see ``take_features``."""
        self._on_batch: list[Callable[[Batch], Batch]] = []
        self._meter = EvaluationMeter((1,))
        self._accumulator_names = name_scope()
        self._own_statistics = self._statistics_of_ranks()
        self._shared_means: SharedMeans | None = None

    def prepare(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Set the optimizer; the loss follows from the batch (see ``batch_loss``)."""
        self._accumulator_names = name_scope()
        self.amp.keep_masters(self.network, optimizer)
        if self.ranks.count > 1:
            optimizer = fleet.distributed_optimizer(optimizer)
            self._shared_means = self._shared_means or share_means(
                self.network.parameters(), self._own_statistics, self.ranks
            )
        super().prepare(optimizer)

    def take_features(self, frozen: Sequence[paddle.nn.Layer] | None) -> None:
        """Train the network's ``forward_head`` alone: from the next batch on loaders give its input, not images.

        Evaluation goes the same way. The caller sees to it that nothing else is trained.

        Args:
            frozen: layers of the head kept in evaluation mode; ``None`` goes back to images.
        """
        self.on_features = frozen is not None
        self._frozen_of_head = list(frozen or ())

    @property
    def learning_rate(self) -> float:
        """That of the next update."""
        return float(self.optimizer.get_lr())

    def fit(self, train_loader, epochs: int, callbacks: Sequence[Callback] = ()) -> None:
        """Train until ``epochs`` are finished, from wherever ``progress`` is.

        Args:
            train_loader: an iterable over an ``EpochSampler``, its ``batch_sampler``, giving (images, labels,
                indices).
            callbacks: ``imgcls`` callbacks, called in this order.
        """
        self.epochs = epochs
        self.callbacks = list(callbacks)
        self._on_batch = [own.on_batch for own in self.callbacks if type(own).on_batch is not Callback.on_batch]
        self.stop_training = False
        sampler = train_loader.batch_sampler
        sampler.set_position(0)
        self.steps_per_epoch = len(sampler)
        self.global_batch_size = sampler.global_batch_size
        self.num_samples = sampler.num_samples
        remaining = epochs - self.progress.epoch
        if remaining > 0:
            self.ranks.barrier()
            super().fit(train_loader, epochs=remaining, verbose=0, callbacks=self.callbacks)

    def evaluate(self, loader, meter: EvaluationMeter | None = None) -> dict[str, float]:
        """Run the network over a loader in evaluation mode and return the meter's result, of all ranks.

        Args:
            meter: what adds up; loss and top-1 when left out.

        Raises:
            EvaluationInterrupted: a signal came meanwhile, to any rank.
            UserError: the loaders had no image that can be read.
        """
        self._meter = meter or EvaluationMeter((1,))
        super().evaluate(_InterruptibleLoader(loader, lambda: self.signalled), verbose=0)
        if self.ranks.count > 1:
            # Ranks may have had different numbers of batches: nothing is exchanged before this.
            self.ranks.barrier()
            sums = self.ranks.sum(paddle.to_tensor([float(self.signalled), *self._meter.sums()], "float64")).numpy()
            stopped = bool(sums[0])  # a signal that came since is seen after the next update, by all
            self._meter.replace_sums(sums[1:])
        else:
            stopped = self.signalled
        if stopped:
            raise EvaluationInterrupted
        if not self._meter.samples:
            raise UserError(
                "None of the images can be read; the log names them. Is data.root right, and the disk there?"
            )
        return self._meter.result()

    def train_batch(self, inputs, labels=None, update: bool = True) -> None:
        """One update: forward and backward of each part of the batch, then the optimizer."""
        pulse.beat()
        paddle.seed(self._step_seed())
        batch = self._batch(self._input(inputs[0]), *labels)
        for on_batch in self._on_batch:
            batch = on_batch(batch)
        self._train_mode()
        self._compile_once(batch.images, batch)
        loss = self._exchange(self._backward(batch))
        # Paddle numbers an optimizer's state tensors per process; in a scope of our own they always
        # start at 0, so that a checkpoint's names fit wherever it is loaded.
        with self._accumulator_names():
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.clear_grad()
        self.last_loss = loss
        if self.scaler.skipped_in_a_row:
            self.totals.skipped += 1
        else:
            self.totals.loss = self.totals.loss + self.last_loss * batch.global_size
            self.totals.samples += batch.global_size
        self.progress.step += 1
        self.progress.batch += 1
        self.totals.tick()

    @paddle.no_grad()
    def eval_batch(self, inputs, labels=None) -> None:
        pulse.beat()
        if self.network.training:
            self.network.eval()
        images = self._input(inputs[0])
        self._compile_once(images)
        with self.amp.autocast():
            logits = self.network.forward_head(images) if self.on_features else self.network(images)
        self._meter.update(logits.astype("float32"), *labels)

    def stop_agreed(self) -> bool:
        """Whether to stop because a rank was signalled; after the same update, the same answer on every rank."""
        if self.ranks.count == 1:
            return self.signalled
        if paddle.device.get_device() != "cpu" and self.progress.step % GPU_SIGNAL_CHECK:
            return False
        return float(self._signals) > 0

    def interrupt(self) -> None:
        """Let every callback do what it does before the run stops early; the one that was told to stop raises."""
        for callback in self.callbacks:
            callback.on_interrupt()

    def reopen_epoch(self) -> None:
        """Back to the end of the last batch of the epoch just finished; a run resumed there finishes it again."""
        if self.progress.batch == 0:  # otherwise it was left early and is open
            self.progress.epoch -= 1
            self.progress.batch = self.steps_per_epoch

    def weights(self) -> dict[str, paddle.Tensor]:
        """The network's state in float32, master weights where the network itself is in half precision."""
        return float32_state(self.network, self.optimizer)

    def state(self) -> dict[str, Any]:
        """The plain part of a run's state: JSON-serialisable."""
        way = {"way": self._way} if self.compile == AUTO and self._way else {}
        return {
            **way,
            "progress": asdict(self.progress),
            "totals": self.totals.state(),
            "metrics": self.metrics,
            "scaler": self.scaler.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        if not all(type(count) is int and 0 <= count < MAX_COUNT for count in asdict(self.progress).values()):
            raise ValueError(f"no progress of a run: {state['progress']}")
        self.totals = EpochTotals(**state["totals"])
        self.metrics = state["metrics"]
        if self.compile == AUTO:
            self._way = state.get("way")
            if self._eager_for and self._way not in (None, EAGER):
                log.warning(
                    "Until now this run computed by trainer.compile=auto: %s. From here on it is eager, %s: equal to "
                    "rounding, not to the bit.",
                    *(self._way, self._eager_for),
                )
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])

    def run_epoch(self, loader, run, mode):
        if mode != "train":
            return run(loader)
        loader.batch_sampler.set_position(self.progress.epoch, self.progress.batch)
        if self.progress.batch == 0:
            self.totals = EpochTotals()
        steps = _InterruptibleLoader(loader, lambda: self.stop_training, self)
        logs = run(steps) if len(steps) else {}
        if self.progress.batch >= self.steps_per_epoch:
            self.progress.epoch += 1
            self.progress.batch = 0
        for callback in self.callbacks:
            callback.on_train_epoch_end()
        return logs

    def _input(self, loaded: paddle.Tensor) -> paddle.Tensor:
        return loaded if self.on_features else self.preprocess(loaded)

    def _batch(self, images, labels, indices) -> Batch:
        if self.ranks.count == 1:
            return Batch(images, labels, indices, global_size=images.shape[0])
        left = self.num_samples - self.progress.batch * self.global_batch_size
        size = min(self.global_batch_size, left)
        return Batch(images, labels, indices, size, self.ranks.rank, self.ranks.count)

    def _compile_once(self, images: paddle.Tensor, batch: Batch | None = None) -> None:
        """One graph for every batch size: Paddle 2.6.2 drops the gradients of earlier parts when it builds another."""
        if self.on_features or not self.compile or self._eager_for or "forward" in vars(self.network):
            return  # ``to_static`` puts it there
        if self.compile is True:
            if paddle.device.get_device() == "cpu":
                run_operators_in_order()
            take_names_of_any_script()
            spec = paddle.static.InputSpec([None, *images.shape[1:]], images.dtype)
            paddle.jit.to_static(self.network, input_spec=[spec], full_graph=True)
        elif batch is None:  # there is nothing to compare gradients of before
            return
        else:
            part, _ = next(batch.split(self.accumulate))

            def loss() -> paddle.Tensor:
                return batch_loss(self.network(part.images), part, self.loss)

            if self.compile == ONEDNN:
                self.ranks.all_or_none(
                    lambda: compile_with_onednn(self.network, part.images, loss), lambda: layer_by_layer(self.network)
                )
            elif not self._chosen:
                self._way = take_fastest(self.network, part.images, loss, self._way, self.ranks)
                self._chosen = True

    def _why_eager(self, network: paddle.nn.Layer) -> str | None:
        """What keeps a network from being compiled with oneDNN, if anything."""
        if paddle.device.get_device() != "cpu":
            return "which is fast on a GPU"
        if not has_onednn_graphs():
            return "for graphs of this PaddlePaddle have no kernels of oneDNN to train with, those of 2.6.2 have"
        if self.ranks.count > 1 and self._sync_norms:
            return "for synchronised batch norms can be compiled on GPUs only"
        if self.amp.level != "O0":
            return "for graphs are in float32"
        return "for graphs are in NCHW" if getattr(network, "data_format", "NCHW") != "NCHW" else None

    def _backward(self, batch: Batch) -> paddle.Tensor:
        """Gradients of the batch; the ranks exchange theirs once, with the last part."""
        parallel = None if self.on_features else self.data_parallel
        network = self.network.forward_head if self.on_features else parallel or self.network
        parts = list(batch.split(self.accumulate))
        loss = 0.0
        for number, (part, weight) in enumerate(parts, start=1):
            for norm in self._sync_norms:
                norm.takes_part = weight > 0
            apart = number < len(parts) or self._shared_means is not None
            with parallel.no_sync() if parallel and apart else nullcontext():
                with self.amp.autocast():
                    outputs = network(part.images)
                part_loss = batch_loss(outputs, part, self.loss)
                if weight != 1:
                    part_loss = part_loss * weight
                self.scaler.scale(part_loss).backward()
            loss = loss + part_loss.detach()
        return loss

    @paddle.no_grad()
    def _exchange(self, loss: paddle.Tensor) -> paddle.Tensor:
        """The mean loss of all ranks; gradients become the means of all, if backward has not made them so.

        One message an update: the loss, and whether a signal has come; of ranks that have no memory in common, also
        the batch-norm statistics that each keeps.
        """
        if self.ranks.count == 1:
            return loss
        with_statistics = not self.on_features
        if self._shared_means:
            self._shared_means.give(statistics=with_statistics)
        elif self.on_features:
            self._average_gradients()
        statistics = self._own_statistics if with_statistics and not self._shared_means else []
        message = [loss.reshape([1]), paddle.full([1], float(self.signalled), loss.dtype)]
        message += [tensor.flatten() for tensor in statistics]
        sizes = [tensor.shape[0] for tensor in message]
        loss, signals, *means = paddle.split(self.ranks.sum(paddle.concat(message)) / self.ranks.count, sizes)
        self._signals = signals[0]
        if self._shared_means:
            self._shared_means.take(statistics=with_statistics)
        for tensor, mean in zip(statistics, means, strict=True):
            tensor.set_value(mean.reshape(tensor.shape))
        return loss[0]

    def _average_gradients(self) -> None:
        """What ``DataParallel`` does with those of the whole network."""
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                parameter.grad.set_value(self.ranks.sum(parameter.grad.clone()) / self.ranks.count)

    def _statistics_of_ranks(self) -> list[paddle.Tensor]:
        """Running statistics that an update makes different on each rank: those of ordinary batch norms."""
        if self.ranks.count == 1:
            return []
        layers = [layer for layer in self.network.sublayers() if isinstance(layer, BATCH_NORMS)]
        learning = [layer for layer in layers if not any(layer is frozen for frozen in self.frozen)]
        return [statistic for layer in learning for statistic in batch_norm_parts(layer)[:2]]

    def _train_mode(self) -> None:
        if not self.network.training:
            self.network.train()
        for layer in self._frozen_of_head if self.on_features else self.frozen:
            layer.eval()

    def _step_seed(self) -> int:
        return int(np.random.SeedSequence([self.seed, self.progress.step, self.ranks.rank]).generate_state(1)[0])


@dataclass
class _InterruptibleLoader:
    """A loader as the loop of ``paddle.Model`` sees it: ``stopped`` ends it between batches.

    The waiting for data is added to the totals of ``trainer``, if one is given.
    """

    loader: Any
    stopped: Callable[[], bool]
    trainer: Trainer | None = None
    batch_sampler: Any = field(init=False)

    def __post_init__(self):
        self.batch_sampler = self.loader.batch_sampler

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self):
        totals = self.trainer.totals if self.trainer else EpochTotals()
        batches = iter(self.loader)
        while not self.stopped():
            totals.tick()
            batch = next(batches, None)
            totals.waiting += totals.tick()
            if batch is None:
                return
            yield batch
