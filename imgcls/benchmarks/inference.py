"""How fast a network answers: eager, and exported under each engine that this machine has."""

import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle

from imgcls.benchmarks.exported import export_for_measuring
from imgcls.deploy.engines import Run, inference, is_x86, jit, onnxruntime
from imgcls.machine.paddle_internals import supports_bfloat16
from imgcls.models.layers import Network
from imgcls.models.registry import build_model

PERCENTILES = (50, 90, 99)
Figures = dict[str, float]


def measure_inference(model: str, size: int, batch_size: int, steps: int, warmup: int, repeats: int) -> Figures:
    """Each way to run the network in turn, ``repeats`` times, so that what drifts falls on all alike.

    Returns:
        For each way ``<way>_images_per_s`` and ``<way>_p50_ms``, ``_p90_ms``, ``_p99_ms``, the time that
        a batch takes after the warm-up. The ways: ``eager``, ``jit``, ``inference`` (without oneDNN),
        ``onednn``, ``bfloat16``, and ``onnxruntime`` where it is installed.
    """
    network = build_model(model)
    network.eval()
    images = np.random.default_rng(0).standard_normal((batch_size, 3, size, size), np.float32)
    with tempfile.TemporaryDirectory() as directory:
        ways = {"eager": _eager(network), **_engines(network, model, size, Path(directory))}
        seconds = _times({way: (lambda run=run: run(images)) for way, run in ways.items()}, steps, warmup, repeats)
    figures: Figures = {}
    for way, values in seconds.items():
        figures[f"{way}_images_per_s"] = batch_size / float(np.median(values))
        for percentile in PERCENTILES:
            figures[f"{way}_p{percentile}_ms"] = 1000 * float(np.percentile(values, percentile))
    return figures


def _eager(network: Network) -> Run:
    def run(images: np.ndarray) -> np.ndarray:
        with paddle.no_grad():
            return network(paddle.to_tensor(images)).numpy()

    return run


def _engines(network: Network, model: str, size: int, directory: Path) -> dict[str, Run]:
    export_for_measuring(network, model, size, directory / "paddle")
    ways = {"jit": jit(directory / "paddle"), "inference": inference(directory / "paddle", onednn=False)}
    if is_x86():
        ways["onednn"] = inference(directory / "paddle", onednn=True)
        if supports_bfloat16():
            ways["bfloat16"] = inference(directory / "paddle", onednn=True, bfloat16=True)
    if all(map(importlib.util.find_spec, ("paddle2onnx", "onnx", "onnxruntime"))):
        export_for_measuring(network, model, size, directory / "onnx", "onnx")
        ways["onnxruntime"] = onnxruntime(directory / "onnx")
    return ways


def _times(jobs: dict[str, Callable], steps: int, warmup: int, repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            for step in range(warmup + steps):
                started = time.perf_counter()
                job()
                if step >= warmup:
                    times[name].append(time.perf_counter() - started)
    return times
