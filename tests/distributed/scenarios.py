"""Small training runs with everything recorded, for one process or for each of several.

Run as a program: ``python scenarios.py <output directory> <scenario> ...``; rank 0 writes one
``<scenario>.npz`` each: the loss of every update, the evaluation, final weights and averages.
"""

import sys
from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.callbacks.ema import EMA
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.callbacks.mixup import Mixup
from imgcls.data.formats.synthetic import synthetic_samples
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.engine.callback import Callback
from imgcls.engine.fastest_way import EAGER, take_fastest
from imgcls.engine.optimizers import OptimizerLR, build_optimizer
from imgcls.engine.ranks import current, join
from imgcls.engine.sync_batch_norm import synchronise_batch_norms
from imgcls.engine.trainer import Trainer
from imgcls.errors import UserError
from imgcls.functional.normalize import normalize
from imgcls.functional.schedules import build_schedule
from imgcls.machine.paddle_graphs import has_onednn_graphs
from imgcls.machine.paddle_internals import Conv2D
from imgcls.machine.processes import end_before_destructors
from imgcls.models.registry import build_model
from imgcls.run.launcher import end_with_parent, in_rank

BATCH, SIZE, CLASSES, EPOCHS = 8, 16, 5, 3

REFUSED = "refused"
EVERYTHING = {"norm": False, "mixup": 0.4, "accumulate": 2, "samples": 22, "clip": 0.5}

SCENARIOS = {
    "plain": {"norm": False},
    "sync_bn": {},
    "uneven": {"samples": 22},
    "one_left": {"samples": 25},
    "one_left_plain": {"samples": 25, "norm": False},
    "accumulate": {"accumulate": 2},
    "accumulate_uneven": {"accumulate": 3, "samples": 22},
    "mixup": {"mixup": 0.4},
    "everything": {"mixup": 0.4, "accumulate": 2, "samples": 22, "clip": 0.5},
    "adamw": {"optimizer": "adamw"},
    "compiled": {"norm": False, "compile": True},
    "compiled_everything": {**EVERYTHING, "compile": True},
    "onednn": {"norm": False, "compile": "onednn"},
    "onednn_everything": {**EVERYTHING, "compile": "onednn"},
    "auto": {**EVERYTHING, "compile": "auto"},
    "local_bn": {"sync": False},
    "double": {"real": True, "samples": 24, "epochs": 1, "optimizer": "plain"},
}
if not has_onednn_graphs():
    SCENARIOS = {name: one for name, one in SCENARIOS.items() if one.get("compile") != "onednn"}


class SmallNet(nn.Layer):
    """Two convolutions with batch norm, a head; no chance in it."""

    def __init__(self, norm: bool = True):
        super().__init__()
        self.body = nn.Sequential(
            Conv2D(3, 8, 3, stride=2, bias_attr=not norm),
            nn.BatchNorm2D(8) if norm else nn.Identity(),
            nn.Tanh(),
            Conv2D(8, 12, 3, bias_attr=not norm),
            nn.BatchNorm2D(12) if norm else nn.Identity(),
            nn.Tanh(),
        )
        self.head = nn.Linear(12, CLASSES)
        for name, parameter in self.named_parameters():
            parameter.name = name

    def forward(self, x):
        return self.head(F.adaptive_avg_pool2d(self.body(x), 1).flatten(1))


def mobilenet_in_double_precision() -> nn.Layer:
    """A network that makes 0.03 of 1e-7 within two updates: near a variance of zero its batch norms divide by it."""
    network = build_model("mobilenetv1_x0_25", num_classes=CLASSES)
    return network.to(dtype="float64")


class Counting:
    """Stands before what exchanges gradients and counts how often it is asked to."""

    def __init__(self, exchange, name: str):
        self.exchange, self.exchanges = exchange, 0
        setattr(self, name, self.count(getattr(exchange, name)))

    def count(self, function):
        def counted(*arguments, **options):
            self.exchanges += 1
            return function(*arguments, **options)

        return counted

    def __getattr__(self, name: str):
        return getattr(self.exchange, name)


class Record(Callback):
    """Loss of every update."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, step, logs=None):
        self.losses.append(float(self.trainer.last_loss))


def preprocess(images):
    return normalize(images, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def make_optimizer(name: str, network: nn.Layer, schedule, clip: float | None):
    if name == "plain":  # the only one for double precision
        return paddle.optimizer.SGD(OptimizerLR(schedule), parameters=network.parameters())
    own = (
        {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8} if name == "adamw" else {"momentum": 0.9, "use_nesterov": False}
    )
    return build_optimizer(name, network, OptimizerLR(schedule), weight_decay=1e-3, grad_clip_norm=clip, **own)


def make_loader(samples: int, training: bool):
    ranks = current()
    listed = synthetic_samples(samples, CLASSES)
    sampler = EpochSampler(
        samples, BATCH // ranks.count, ranks.rank, ranks.count, shuffle=training, seed=3, pad=training
    )
    return build_loader(SyntheticDataset(listed, SIZE, seed=1), sampler)


def run(
    samples: int = 24,
    norm: bool = True,
    sync: bool = True,
    accumulate: int = 1,
    mixup: float = 0.0,
    clip: float | None = None,
    optimizer: str = "momentum",
    compile: bool | str = False,
    real: bool = False,
    epochs: int = EPOCHS,
) -> dict[str, np.ndarray]:
    paddle.seed(7)
    network = mobilenet_in_double_precision() if real else SmallNet(norm)
    if sync and current().count > 1:
        network = synchronise_batch_norms(network)
    seen = (lambda images: preprocess(images).astype("float64")) if real else preprocess
    trainer = Trainer(network, seen, seed=5, accumulate=accumulate, compile=compile)
    loader = make_loader(samples, training=True)
    schedule = build_schedule(
        "cosine_step", base_lr=0.01 if optimizer == "adamw" else 0.1, steps_per_epoch=len(loader), epochs=epochs
    )
    trainer.prepare(make_optimizer(optimizer, network, schedule, clip))
    exchange = None
    if trainer._shared_means:
        exchange = trainer._shared_means = Counting(trainer._shared_means, "give")
    elif current().count > 1:
        parallel = trainer.data_parallel
        exchange = parallel._reducer = Counting(parallel._reducer, "prepare_for_backward")
    record, ema = Record(), EMA(0.9)
    trainer.fit(loader, epochs, [*([Mixup(mixup, stop_epoch=None)] if mixup else []), ema, LRSchedule(), record])
    evaluated = trainer.evaluate(make_loader(13, training=False))
    return {
        "losses": np.array(record.losses),
        "epoch_loss": np.array(trainer.totals.mean_loss()),
        "samples": np.array(trainer.totals.samples),
        "shared": np.array(trainer._shared_means is not None),
        "exchanges": np.array(exchange.exchanges if exchange else len(record.losses)),
        **{f"eval/{name}": np.array(value) for name, value in evaluated.items()},
        **{f"weights/{name}": tensor.numpy() for name, tensor in network.state_dict().items()},
        **{f"ema/{name}": tensor.numpy() for name, tensor in ema.shadow.items()},
    }


def refused() -> dict[str, np.ndarray]:
    """What each rank is told where the last one alone is refused its graph: at first, and when a run goes on."""
    ranks, network, undone = current(), SmallNet(norm=False), []
    last = ranks.rank == ranks.count - 1

    def compile_here():
        if last:
            raise UserError("The gradients of rank 1 differ.")

    def go_on():
        take_fastest(network, paddle.zeros([2, 3, 8, 8]), lambda: None, "by hand" if last else EAGER, ranks)

    said = []
    for act in (lambda: ranks.all_or_none(compile_here, lambda: undone.append(ranks.rank)), go_on):
        try:
            act()
        except UserError as error:
            said.append(str(error))
    return {
        "weights": np.zeros(1),
        "said": np.array(ranks.gather_values(said)),
        "undone": np.array(ranks.gather_values(undone)),
    }


def main(directory: Path, names: list[str]) -> None:
    if in_rank():
        end_with_parent()
    paddle.set_device("cpu")
    ranks = join()
    for name in names:
        result = refused() if name == REFUSED else run(**SCENARIOS[name])
        weights = np.concatenate([value.ravel() for key, value in result.items() if key.startswith(("w", "ema"))])
        every = ranks.gather(paddle.to_tensor(weights)).numpy()
        result["equal_ranks"] = np.array(all(np.array_equal(every[0], one) for one in every))
        if ranks.first:
            np.savez(directory / f"{name}.npz", **result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
    end_before_destructors()
