"""How fast this process and its companions train, in one setting: what ``benchmarks.train`` puts into its tables."""

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle

from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.data.loading.sampler import EpochSampler
from imgcls.engine.amp import AmpSettings
from imgcls.engine.callback import Callback
from imgcls.engine.optimizers import OptimizerLR, build_optimizer
from imgcls.engine.ranks import Ranks
from imgcls.engine.ranks import current as current_ranks
from imgcls.engine.trainer import Trainer
from imgcls.functional.schedules import build_schedule

NUM_CLASSES = 1000
OPTIMIZER = {"momentum": 0.9, "use_nesterov": False, "weight_decay": 1e-4}
MB = 2**20


@dataclass(frozen=True)
class Figures:
    """What one measurement gives, over all its processes.

    Args:
        images_per_s: of all processes together.
        memory_mb: the most that any of them held: of the GPU's memory, or of the machine's without a GPU.
        waiting: share of the time in which training waited for data, 0 to 1.
        exchange: share of the time that talking to the other processes costs, 0 to 1: what an update
            takes longer than one after which all keep their gradients and statistics to themselves.
    """

    images_per_s: float
    memory_mb: float
    waiting: float
    exchange: float


def measure_speed(
    network: paddle.nn.Layer,
    loader,
    stopwatch: "Stopwatch",
    *,
    batch_size: int,
    precision: str,
    amp_dtype: str,
    compile: bool,
    preprocess: Callable[[paddle.Tensor], paddle.Tensor],
) -> Figures:
    """Train in this process and its companions, which have joined, for as long as the figures need.

    Args:
        loader: as many batches as ``stopwatch.updates`` says.
        batch_size: of this process.
        precision: ``float32``, or the level of mixed precision: ``O1``, ``O2``.
        amp_dtype: that mixed precision computes in.
        compile: the network as a graph.
        preprocess: from uint8 images to the network's input.
    """
    ranks = current_ranks()
    trainer = Trainer(
        network,
        preprocess,
        amp=AmpSettings(
            "O0" if precision == "float32" else precision, amp_dtype, scale_loss=128.0, dynamic=True, min_scale=1.0
        ),
        compile=compile,
    )
    schedule = build_schedule("constant", base_lr=1e-3, steps_per_epoch=len(loader), epochs=1)
    trainer.prepare(build_optimizer("momentum", network, OptimizerLR(schedule), **OPTIMIZER))
    trainer.fit(loader, 1, [LRSchedule(), stopwatch])
    own = [stopwatch.seconds, stopwatch.waiting, stopwatch.seconds_apart, _peak_memory()]
    ranks.barrier()
    seconds, waiting, seconds_apart, memory = ranks.gather(paddle.to_tensor(own, "float64")).numpy().T
    return Figures(
        images_per_s=ranks.count * batch_size * stopwatch.steps / seconds.max(),
        memory_mb=memory.max() / MB,
        waiting=float(np.mean(waiting / seconds)),
        exchange=1 - seconds_apart.max() / seconds.max() if ranks.count > 1 else 0.0,
    )


class Stopwatch(Callback):
    """Times ``steps`` updates after the first ``warmup``, one at least, then as many in which the ranks work apart.

    What is asked of a GPU has been done when a time is taken.
    """

    def __init__(self, warmup: int, steps: int):
        super().__init__()
        self.warmup = max(1, warmup)
        self.steps = steps
        self.seconds = self.waiting = self.seconds_apart = 0.0
        self.apart = contextlib.ExitStack()

    def updates(self, ranks: Ranks) -> int:
        """How many it needs to see."""
        return self.warmup + self.steps * (2 if ranks.count > 1 else 1)

    def on_train_batch_end(self, step, logs=None):
        done = step + 1 - self.warmup
        if done == 0:
            self._start()
        elif done == self.steps:
            self.seconds, self.waiting = self._stop()
            if self.trainer.ranks.count > 1:
                self.apart.enter_context(_working_apart(self.trainer))
                self._start()
        elif done == 2 * self.steps:
            self.seconds_apart, _ = self._stop()
            self.apart.close()

    def _start(self) -> None:
        _finish_work()
        self.started = time.perf_counter(), self.trainer.totals.waiting

    def _stop(self) -> tuple[float, float]:
        _finish_work()
        started, waited = self.started
        return time.perf_counter() - started, self.trainer.totals.waiting - waited


@contextlib.contextmanager
def _working_apart(trainer: Trainer):
    """The processes of a run as if each were alone."""
    ranks, trainer.ranks = trainer.ranks, Ranks()
    with trainer.data_parallel.no_sync():
        yield
    trainer.ranks = ranks


class SameBatch:
    """One batch on the device, over and over: what training reaches when data costs nothing."""

    def __init__(self, size: int, batch_size: int, updates: int, ranks: Ranks):
        rng = np.random.default_rng(0)
        images = paddle.to_tensor(rng.integers(0, 256, (batch_size, size, size, 3), np.uint8))
        labels = paddle.to_tensor(rng.integers(0, NUM_CLASSES, batch_size))
        self.batch = [images, labels, labels]
        self.batch_sampler = EpochSampler(updates * batch_size * ranks.count, batch_size, ranks.rank, ranks.count)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self):
        return iter([self.batch] * len(self))


def _finish_work() -> None:
    if paddle.device.get_device() != "cpu":
        paddle.device.synchronize()


def _peak_memory() -> int:
    """Bytes that this process held at most: tensors on the GPU, or everything resident without one."""
    if paddle.device.get_device() != "cpu":
        return paddle.device.cuda.max_memory_allocated()
    # Not the system's own record of it, in which a parent's memory counts as well.
    kilobytes = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))[1]
    return int(kilobytes) * 1024
