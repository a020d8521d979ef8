"""How fast this process and its companions train, in one setting: what ``benchmarks.train`` puts into its tables."""

import contextlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
from omegaconf import DictConfig

from imgcls.app import assembly
from imgcls.benchmarks.train import Setting
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.pictures.transforms import train_transform
from imgcls.engine.amp import AmpSettings
from imgcls.engine.callback import Callback
from imgcls.engine.optimizers import OptimizerLR, build_optimizer
from imgcls.engine.ranks import Ranks, join
from imgcls.engine.trainer import Trainer
from imgcls.functional.normalize import normalize
from imgcls.functional.schedules import build_schedule
from imgcls.machine.device import select_device

NUM_CLASSES = 1000
CROPS = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3), "flip": 0.5}
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


def measure(config: DictConfig, setting: Setting) -> Figures:
    """Train in this process and its companions for as long as the figures need."""
    settings, model = config.benchmark, config.model
    select_device(None, training=True)
    ranks = join()
    stopwatch = Stopwatch(max(1, settings.warmup), settings.steps)
    updates = stopwatch.warmup + settings.steps * (2 if ranks.count > 1 else 1)
    if setting.data == "real":
        loader, classes = _photos(config, ranks, updates)
    else:
        loader, classes = _SameBatch(model.input_size, settings.batch_size, updates, ranks), NUM_CLASSES
    model.data_format = setting.data_format
    paddle.seed(0)
    network = assembly.build_network(model, model.num_classes or max(NUM_CLASSES, classes))
    level = "O0" if setting.precision == "float32" else setting.precision
    trainer = Trainer(
        network,
        lambda images: normalize(images, tuple(model.mean), tuple(model.std)),
        amp=AmpSettings(level, settings.amp_dtype, scale_loss=128.0, dynamic=True, min_scale=1.0),
        compile=setting.compile,
    )
    schedule = build_schedule("constant", base_lr=1e-3, steps_per_epoch=updates, epochs=1)
    trainer.prepare(build_optimizer("momentum", network, OptimizerLR(schedule), **OPTIMIZER))
    trainer.fit(loader, 1, [LRSchedule(), stopwatch])
    own = [stopwatch.seconds, stopwatch.waiting, stopwatch.seconds_apart, _peak_memory()]
    ranks.wait()
    seconds, waiting, seconds_apart, memory = ranks.gather(paddle.to_tensor(own, "float64")).numpy().T
    return Figures(
        images_per_s=ranks.count * settings.batch_size * settings.steps / seconds.max(),
        memory_mb=memory.max() / MB,
        waiting=float(np.mean(waiting / seconds)),
        exchange=1 - seconds_apart.max() / seconds.max() if ranks.count > 1 else 0.0,
    )


class Stopwatch(Callback):
    """Times ``steps`` updates after the first ``warmup``, then as many in which the ranks work apart.

    What is asked of a GPU has been done when a time is taken.
    """

    def __init__(self, warmup: int, steps: int):
        super().__init__()
        self.warmup = warmup
        self.steps = steps
        self.seconds = self.waiting = self.seconds_apart = 0.0
        self.apart = contextlib.ExitStack()

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
    with trainer._adapter.ddp_model.no_sync():
        yield
    trainer.ranks = ranks


class _SameBatch:
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


def _photos(config: DictConfig, ranks: Ranks, updates: int):
    """A loader of as many pictures as are needed, augmented as in training; and their number of classes."""
    settings, data = config.benchmark, config.data
    if data.format == "synthetic":
        data.format = "sample"
        data.num_classes = None
    samples = assembly.read_samples(data, "train", None)
    batch_size = settings.batch_size * ranks.count
    count = updates * batch_size
    loader = assembly.make_loader(
        samples.subset(np.arange(count) * len(samples) // count),
        train_transform(config.model.input_size, **CROPS),
        data,
        size=config.model.input_size,
        batch_size=batch_size,
        num_workers=settings.num_workers,
        shuffle=True,
    )
    return loader, samples.num_classes


def _finish_work() -> None:
    if paddle.device.get_device() != "cpu":
        paddle.device.synchronize()


def _peak_memory() -> int:
    """Bytes that this process held at most: tensors on the GPU, or everything resident without one."""
    if paddle.device.get_device() != "cpu":
        return paddle.device.cuda.max_memory_allocated()
    # Not the system's own record of it, in which a parent's memory counts as well.
    kilobytes = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]
    return int(kilobytes) * 1024
