"""How long networks take for one picture on this machine, and the most accurate of those within a budget.

Networks are measured from the most accurate on. One that has too many multiplications for the budget, at a rate that no
network here has come near, is left out without a measurement.
"""

import hashlib
import importlib.util
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
from rich.table import Column, Table

from imgcls.benchmarks.exported import export_for_measuring
from imgcls.deploy.engines import Run, inference, openvino
from imgcls.deploy.fastest import measure, version
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.cache import cache_directory
from imgcls.machine.files import atomic_write
from imgcls.machine.reading import read_json
from imgcls.machine.text import write_json
from imgcls.models.registry import ModelInfo, build_model, model_info

log = logging.getLogger("imgcls")

CALIBRATION = "resnet18"
"""Nothing but plain convolutions: few networks have more multiplications a millisecond."""

SLACK = 1.5
"""As much above the best rate so far another network might be."""

ENGINES = {"inference": (inference, "paddle"), "openvino": (openvino, "openvino")}
"""Those that read what Paddle exports, and the package that each needs."""


class Latency(NamedTuple):
    """Milliseconds for one picture under the fastest engine, and its name."""

    milliseconds: float
    engine: str


class Choice(NamedTuple):
    """Networks within a budget, the most accurate first; how many were measured, and how many are too large for it."""

    within: list[tuple[ModelInfo, Latency]]
    measured: dict[str, Latency]
    too_large: int


def measured_latency(info: ModelInfo) -> Latency:
    """As remembered of this machine; or measured now, and remembered unless the machine is busy."""
    path = _file(info)
    try:
        content = read_json(path)
        return Latency(float(content["milliseconds"]), str(content["engine"]))
    except (UserError, KeyError, TypeError, ValueError):
        pass
    is_busy = cpu.is_busy()
    times = latencies(info, partial(measure, of_batches=min))  # what others do on the machine makes it longer only
    engine = min(times, key=times.get)
    if not is_busy:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, shared=True) as unfinished:
                write_json(unfinished, {"model": info.name, "milliseconds": times[engine], "engine": engine})
        except OSError as error:
            log.info("the measurement is not kept: %s", error)
    return Latency(times[engine], engine)


def latencies(
    info: ModelInfo,
    take: Callable[[Mapping[str, Run], np.ndarray], dict[str, float]],
    threads: int | None = None,
) -> dict[str, float]:
    """Milliseconds of each installed engine for one picture, with random weights.

    Args:
        take: from engines by name and a batch to milliseconds by name.
        threads: of each engine; all cores when left out.
    """
    network = build_model(info.name)
    network.eval()
    size = _size(info)
    images = np.random.default_rng(0).standard_normal((1, 3, size, size), np.float32)
    with tempfile.TemporaryDirectory() as directory:
        export_for_measuring(network, info.name, size, Path(directory) / "export")
        del network
        runs = {
            name: run(Path(directory) / "export", threads=threads)
            for name, (run, package) in ENGINES.items()
            if importlib.util.find_spec(package)
        }
        return take(runs, images)


def most_accurate(
    infos: Iterable[ModelInfo],
    budget: float,
    count: int,
    latency: Callable[[ModelInfo], Latency] = measured_latency,
    tell: Callable[[str], None] = log.info,
) -> Choice:
    """The ``count`` networks of the highest published accuracy that take at most ``budget`` milliseconds.

    Args:
        tell: is told of each measurement.

    Raises:
        UserError: none of them has a published accuracy.
    """
    known = [info for info in infos if info.top1 and info.macs]
    if not known:
        raise UserError("None of these networks has a published accuracy to choose by. Name others.")
    calibration = model_info(CALIBRATION)
    measured = {CALIBRATION: latency(calibration)}
    rate = calibration.macs / measured[CALIBRATION].milliseconds
    within: list[tuple[ModelInfo, Latency]] = []
    too_large = 0
    for info in sorted(known, key=lambda info: (-info.top1, info.macs)):
        macs = info.macs * (_size(info) / info.input_size) ** 2
        if macs > SLACK * rate * budget:
            too_large += 1
            continue
        found = measured.get(info.name) or latency(info)
        measured[info.name] = found
        rate = max(rate, macs / found.milliseconds)
        tell(f"{info.name}: {found.milliseconds:.1f} ms ({found.engine})")
        if found.milliseconds <= budget:
            within.append((info, found))
        if len(within) == count:
            break
    return Choice(within, measured, too_large)


def choice_table(choice: Choice, budget: float) -> Table:
    """The networks within the budget."""
    right = {"justify": "right", "no_wrap": True}
    table = Table(
        Column("name", no_wrap=True),
        Column("published\ntop-1", **right),
        Column("ms here", **right),
        Column("engine", no_wrap=True),
        Column("params", **right),
        Column("input", **right),
        title=f"the most accurate networks of at most {budget:g} ms a picture",
        caption=(
            f"{cpu.name()}, {cpu.usable_cores()} cores, load {cpu.load():.1f}; PaddlePaddle {paddle.__version__}; "
            f"{len(choice.measured)} networks measured, {choice.too_large} too large for the budget. Accuracies are "
            "published ones, not measured here."
        ),
        caption_justify="left",
    )
    for info, (milliseconds, engine) in choice.within:
        params = f"{info.params / 1e6:.1f} M"
        table.add_row(info.name, f"{info.top1:.2f}", f"{milliseconds:.1f}", engine, params, str(_size(info)))
    return table


def choose(infos: Iterable[ModelInfo], budget: float, count: int, tell: Callable[[str], None]) -> Table:
    """``choice_table`` of ``most_accurate``.

    Raises:
        UserError: no network is within the budget.
    """
    if cpu.is_busy():
        tell(f"the machine is busy (load {cpu.load():.1f} on {cpu.usable_cores()} cores): times are longer than usual")
    choice = most_accurate(infos, budget, count, tell=tell)
    if not choice.within:
        name, fastest = min(choice.measured.items(), key=lambda entry: entry[1].milliseconds)
        raise UserError(
            f"None of these networks takes {budget:g} ms or less here. The fastest of those that were measured is "
            f"{name} with {fastest.milliseconds:.1f} ms."
        )
    return choice_table(choice, budget)


def _size(info: ModelInfo) -> int:
    """Side of the pictures that the published accuracy was measured on."""
    return info.measured_size or info.input_size


def _file(info: ModelInfo) -> Path:
    """By all that a measurement depends on."""
    packages = ("paddlepaddle", "paddlepaddle-gpu", "openvino")
    known = cpu.name(), cpu.usable_cores(), info.name, _size(info), [version(package) for package in packages]
    return cache_directory() / "latency" / f"{hashlib.sha256(repr(known).encode()).hexdigest()[:32]}.json"
