"""Whether the engine that ``predict.engine=auto`` takes is the fastest one: a network after the other."""

import gc
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import paddle

from imgcls.benchmarks.exported import export_for_measuring
from imgcls.benchmarks.inference import warn_if_busy
from imgcls.deploy.fastest import Fastest, flat, measure, run_for_a_while
from imgcls.machine import cpu
from imgcls.machine.cache import cache_at
from imgcls.machine.progress import progress_bar
from imgcls.models.registry import ModelInfo, build_model

BOUND = 1.05
"""Times the best engine's time: what is above is named."""

FAR = 1.4
"""Times that of the one taken, by the short measurement: an engine that is not measured at length."""


class Chosen(NamedTuple):
    """Milliseconds for a batch, medians by engine, of which one was taken; of those that are far from it, as ``auto``
    found them."""

    engine: str
    milliseconds: Mapping[str, float]

    @property
    def over_best(self) -> float:
        return self.milliseconds[self.engine] / min(self.milliseconds.values())

    def __str__(self) -> str:
        times = ", ".join(f"{name} {value:.2f}" for name, value in sorted(self.milliseconds.items(), key=_second))
        return f"{times} ms; auto takes {self.engine}: {self.over_best:.2f} of the best"


def fastest_engines(
    networks: Sequence[tuple[ModelInfo, int]], batch_size: int, steps: int, warmup: int, repeats: int
) -> Iterator[str]:
    """A line for each network, as soon as it is measured, and one about them all."""
    before = cpu.load()
    warn_if_busy()
    found: dict[str, Chosen] = {}
    for info, size in progress_bar(list(networks), desc="networks"):
        found[info.name] = chosen = measure_chosen(info, size, batch_size, steps, warmup, repeats)
        yield f"{info.name}, {size} px: {chosen}"
    above = [name for name, chosen in found.items() if chosen.over_best > BOUND]
    taken = [chosen.engine for chosen in found.values()]
    counts = ", ".join(f"{name} {taken.count(name)}" for name in sorted(set(taken), key=taken.count, reverse=True))
    yield (
        f"{len(found)} networks, batch {batch_size}; taken: {counts}. Over the best at most "
        f"{max(chosen.over_best for chosen in found.values()):.2f}; above {BOUND}: {', '.join(above) or 'none'}. "
        f"{cpu.name()}, {cpu.usable_cores()} cores; load {before:.1f} before, {cpu.load():.1f} after; PaddlePaddle "
        f"{paddle.__version__}; medians of all batches of {repeats} rounds in turn"
    )


def measure_chosen(info: ModelInfo, size: int, batch_size: int, steps: int, warmup: int, repeats: int) -> Chosen:
    """First ``auto`` chooses by its own short measurement; then the engines that came near are measured at length.

    The network has random weights and stands in the form that is exported by default: fused where it can be.
    """
    network = build_model(info.name)
    network.eval()
    if hasattr(network, "to_deploy"):
        network = network.to_deploy()
    images = np.random.default_rng(0).standard_normal((batch_size, 3, size, size), np.float32)
    with tempfile.TemporaryDirectory() as directory, cache_at(Path(directory) / "cache"):
        export_for_measuring(network, info.name, size, Path(directory) / "export")
        del network
        runs = Fastest(Path(directory) / "export").runs(images)
        times = measure(runs, images)
        engine = min(times, key=times.get)
        near = [name for name in runs if times[name] <= FAR * times[engine]]
        rounds = [{name: run_for_a_while(runs[name], images, warmup, steps) for name in near} for _ in range(repeats)]
    del runs
    gc.collect()
    return Chosen(engine, {**times, **{name: median(flat(one[name] for one in rounds)) for name in near}})


def _second(pair: tuple[str, float]) -> float:
    return pair[1]
