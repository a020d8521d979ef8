"""How long several networks take for a batch, eager and exported, all of them in turns of one run."""

import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import paddle
from rich.box import SIMPLE
from rich.table import Column, Table

from imgcls.benchmarks.exported import export_for_measuring
from imgcls.benchmarks.inference import eager, take_times, warn_if_busy
from imgcls.deploy.engines import Run, inference, openvino
from imgcls.machine import cpu
from imgcls.machine.progress import progress_bar
from imgcls.models.registry import ModelInfo, build_model

WAYS = ("eager", "inference", "openvino")
"""Columns: the layers one by one, ``paddle.inference`` and OpenVINO, the last where it is installed."""


def side_by_side_table(
    networks: Sequence[tuple[ModelInfo, int]], batch_size: int, steps: int, warmup: int, repeats: int
) -> Iterator[Table]:
    """Medians of ``measure_side_by_side``, a row a network, and how busy the machine was."""
    before = cpu.load()
    warn_if_busy()
    times = measure_side_by_side(networks, batch_size, steps, warmup, repeats)
    ways = [way for way in WAYS if any(way in found for found in times.values())]
    right = {"justify": "right", "no_wrap": True}
    table = Table(
        Column("network", no_wrap=True),
        Column("px", **right),
        *(Column(way, **right) for way in ways),
        Column("spread", **right),
        Column("eager/\nbest", **right),
        box=SIMPLE,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
        title=f"milliseconds for a batch of {batch_size}, medians",
        caption=(
            f"{cpu.name()}, {cpu.usable_cores()} cores; load {before:.1f} before, {cpu.load():.1f} after; PaddlePaddle "
            f"{paddle.__version__}; {repeats} rounds of {steps} batches in turn. Spread: the middle half of the "
            "times over the median, of the engine where it is largest. Networks that can be fused are."
        ),
        caption_justify="left",
    )
    for info, size in networks:
        found = times[info.name]
        middle = {way: median(found[way]) for way in ways}
        spread, over = max(map(_spread, found.values())), middle["eager"] / min(middle.values())
        figures = (f"{middle[way]:.1f}" for way in ways)
        table.add_row(info.name, str(size), *figures, f"{spread:.0%}", f"{over:.1f}")
    yield table


def measure_side_by_side(
    networks: Sequence[tuple[ModelInfo, int]], batch_size: int, steps: int, warmup: int, repeats: int
) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each batch after the warm-up, by network and way of ``WAYS``.

    The networks have random weights, and stand in the form that is exported by default: fused where they can be.
    All are loaded before the first is measured, and each way of each has its turn ``repeats`` times.

    Args:
        networks: and the side of the images in pixels.
    """
    with tempfile.TemporaryDirectory() as directory:
        jobs = {}
        for info, size in progress_bar(list(networks), desc="exported"):
            images = np.random.default_rng(0).standard_normal((batch_size, 3, size, size), np.float32)
            for way, run in _ways(info, size, Path(directory) / info.name).items():
                jobs[info.name, way] = partial(run, images)
        seconds = take_times(jobs, steps, warmup, repeats)
    times: dict[str, dict[str, list[float]]] = {}
    for (name, way), values in seconds.items():
        times.setdefault(name, {})[way] = [1000 * value for value in values]
    return times


def _ways(info: ModelInfo, size: int, directory: Path) -> dict[str, Run]:
    network = build_model(info.name)
    network.eval()
    if hasattr(network, "to_deploy"):
        network = network.to_deploy()
    export_for_measuring(network, info.name, size, directory)
    ways = {"eager": eager(network), "inference": inference(directory)}
    if importlib.util.find_spec("openvino"):
        ways["openvino"] = openvino(directory)
    return ways


def _spread(times: list[float]) -> float:
    low, middle, high = np.percentile(times, [25, 50, 75])
    return float((high - low) / middle)
