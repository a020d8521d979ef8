"""How fast a network answers: eager, and exported under each engine that this machine has."""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import paddle
from rich.table import Column, Table

from imgcls.benchmarks.exported import export_for_measuring
from imgcls.deploy.engines import Run, inference, is_x86, jit, onnxruntime, openvino
from imgcls.deploy.fastest import REST_SECONDS
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.paddle_internals import supports_bfloat16
from imgcls.models.layers import Network
from imgcls.models.registry import build_model
from imgcls.run.logs import log

PERCENTILES = (25, 50, 75, 90, 99)
CALIBRATION = 8
"""Images that the int8 network is made with: its speed does not depend on them."""

Figures = dict[str, float]
Key = TypeVar("Key")


def inference_table(model: str, size: int, batch_size: int, steps: int, warmup: int, repeats: int) -> Iterator[Table]:
    """The figures of ``measure_inference``, the fastest first, and how busy the machine was."""
    before = cpu.load()
    warn_if_busy()
    figures = measure_inference(model, size, batch_size, steps, warmup, repeats)
    ways = sorted((name.removesuffix("_p50_ms") for name in figures if name.endswith("_p50_ms")), key=_median(figures))
    best = figures[f"{ways[0]}_p50_ms"]
    table = Table(
        Column("engine", no_wrap=True),
        title=f"inference: {model}, {size} px, batch {batch_size}, milliseconds",
        min_width=70,
    )
    for heading in ("median", "25 %", "75 %", "99 %", "images/s", "over best"):
        table.add_column(heading, justify="right")
    for way in ways:
        middle, low, high, late = (figures[f"{way}_p{percentile}_ms"] for percentile in (50, 25, 75, 99))
        rate = figures[f"{way}_images_per_s"]
        table.add_row(
            way, f"{middle:.2f}", f"{low:.2f}", f"{high:.2f}", f"{late:.2f}", f"{rate:.1f}", f"{middle / best:.2f}"
        )
    table.caption = (
        f"{cpu.name()}, {cpu.usable_cores()} cores; load {before:.1f} before, {cpu.load():.1f} after; "
        f"{repeats} rounds of {steps} batches in turn"
    )
    yield table


def warn_if_busy() -> None:
    """Say so where others have the cores as well."""
    if cpu.is_busy():
        log.warning(
            "the machine is busy (load %.1f on %d cores): compare what is in this table alone, and that with care",
            cpu.load(),
            cpu.usable_cores(),
        )


def measure_inference(model: str, size: int, batch_size: int, steps: int, warmup: int, repeats: int) -> Figures:
    """Each way to run the network in turn, ``repeats`` times, so that what drifts falls on all alike.

    Returns:
        For each way ``<way>_images_per_s`` and ``<way>_p50_ms``, and so on for ``PERCENTILES``, the time that
        a batch takes after the warm-up. The ways: ``eager``, ``jit``, ``inference`` (without oneDNN),
        ``onednn``, ``bfloat16``, and where they are installed ``onnxruntime``, ``openvino``,
        ``openvino_streams`` (a batch divided), ``openvino_bfloat16`` and ``openvino_int8``.
    """
    network = build_model(model)
    network.eval()
    images = np.random.default_rng(0).standard_normal((batch_size, 3, size, size), np.float32)
    with tempfile.TemporaryDirectory() as directory:
        ways = {"eager": eager(network), **_engines(network, model, size, batch_size, Path(directory))}
        seconds = take_times({way: (lambda run=run: run(images)) for way, run in ways.items()}, steps, warmup, repeats)
    figures: Figures = {}
    for way, values in seconds.items():
        figures[f"{way}_images_per_s"] = batch_size / float(np.median(values))
        for percentile in PERCENTILES:
            figures[f"{way}_p{percentile}_ms"] = 1000 * float(np.percentile(values, percentile))
    return figures


def _median(figures: Figures) -> Callable[[str], float]:
    return lambda way: figures[f"{way}_p50_ms"]


def eager(network: Network) -> Run:
    """The network itself, its layers one by one."""

    def run(images: np.ndarray) -> np.ndarray:
        with paddle.no_grad():
            return network(paddle.to_tensor(images)).numpy()

    return run


def _engines(network: Network, model: str, size: int, batch_size: int, directory: Path) -> dict[str, Run]:
    export_for_measuring(network, model, size, directory / "paddle")
    ways = {"jit": jit(directory / "paddle"), "inference": inference(directory / "paddle", onednn=False)}
    if is_x86():
        ways["onednn"] = inference(directory / "paddle", onednn=True)
        if supports_bfloat16():
            ways["bfloat16"] = inference(directory / "paddle", onednn=True, bfloat16=True)
    if _are_installed("paddle2onnx", "onnx", "onnxruntime"):
        export_for_measuring(network, model, size, directory / "onnx", "onnx")
        ways["onnxruntime"] = onnxruntime(directory / "onnx")
    if _are_installed("openvino"):
        ways |= _openvino(network, model, size, batch_size, directory)
    return ways


def _openvino(network: Network, model: str, size: int, batch_size: int, directory: Path) -> dict[str, Run]:
    ways = {"openvino": openvino(directory / "paddle")}
    if batch_size > 1:
        ways["openvino_streams"] = openvino(directory / "paddle", mode="throughput")
    try:
        ways["openvino_bfloat16"] = openvino(directory / "paddle", bfloat16=True)
    except UserError as error:  # a processor without
        log.info("%s", error)
    if _are_installed("nncf"):
        from imgcls.deploy.int8 import quantize_for_measuring

        export_for_measuring(network, model, size, directory / "int8", "openvino")
        quantize_for_measuring(directory / "int8", CALIBRATION)
        ways["openvino_int8"] = openvino(directory / "int8")
    return ways


def _are_installed(*packages: str) -> bool:
    return all(map(importlib.util.find_spec, packages))


def take_times(jobs: Mapping[Key, Callable], steps: int, warmup: int, repeats: int) -> dict[Key, list[float]]:
    """Seconds of each step after the warm-up; each job has ``repeats`` turns, so that what drifts falls on all."""
    times: dict[Key, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            time.sleep(REST_SECONDS)  # the threads of the last one still turn
            for step in range(warmup + steps):
                started = time.perf_counter()
                job()
                if step >= warmup:
                    times[name].append(time.perf_counter() - started)
    return times
