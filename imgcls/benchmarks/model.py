"""What a network costs: parameters, multiplications, forward and backward, eager against ``paddle.inference``."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import paddle
from paddle import nn

from imgcls.benchmarks.exported import export_for_measuring
from imgcls.deploy.engines import inference
from imgcls.models.registry import build_model


def measure_model(model: str, size: int, batch_size: int, steps: int, warmup: int, repeats: int) -> dict[str, float]:
    """Counts, and milliseconds for one batch as medians over all timed steps.

    Returns:
        ``parameters``, ``macs`` (for one image), ``forward_ms``, ``forward_backward_ms``,
        ``inference_ms`` (exported, as ``imgcls.predict`` runs it) and ``speedup`` of it over the eager forward.
    """
    network = build_model(model)
    images = paddle.randn([batch_size, 3, size, size])
    parameters = sum(int(np.prod(p.shape)) for p in network.parameters() if not p.stop_gradient)
    macs = count_macs(network, size)
    array = images.numpy()
    with tempfile.TemporaryDirectory() as directory:
        export_for_measuring(network, model, size, Path(directory) / "export")
        exported = inference(Path(directory) / "export")

    def forward() -> None:
        network.eval()
        with paddle.no_grad():
            network(images)

    def forward_backward() -> None:
        network.train()
        outputs = network(images)
        heads = outputs if isinstance(outputs, tuple) else (outputs,)
        sum(head.mean() for head in heads).backward()
        network.clear_gradients()

    jobs = {"forward_ms": forward, "forward_backward_ms": forward_backward, "inference_ms": lambda: exported(array)}
    figures = _milliseconds(jobs, steps, warmup, repeats)
    return {
        "parameters": parameters,
        "macs": macs,
        **figures,
        "speedup": figures["forward_ms"] / figures["inference_ms"],
    }


def count_macs(network: nn.Layer, size: int) -> int:
    """Multiplications of convolutions and fully connected layers for one image of ``size``."""
    counts = []

    def count(layer: nn.Layer, inputs, output: paddle.Tensor) -> None:
        per_output = np.prod(layer.weight.shape[1:]) if isinstance(layer, nn.Conv2D) else layer.weight.shape[0]
        counts.append(int(np.prod(output.shape[1:]) * per_output))

    layers = [layer for layer in network.sublayers() if isinstance(layer, nn.Conv2D | nn.Linear)]
    hooks = [layer.register_forward_post_hook(count) for layer in layers]
    network.eval()
    channels = next((layer.weight.shape[1] for layer in layers if isinstance(layer, nn.Conv2D)), 3)
    with paddle.no_grad():
        network(paddle.zeros([1, channels, size, size]))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def _milliseconds(jobs: dict[str, Callable[[], None]], steps: int, warmup: int, repeats: int) -> dict[str, float]:
    """The jobs in turn, ``repeats`` times, so that what drifts falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            for step in range(warmup + steps):
                started = time.perf_counter()
                job()
                if step >= warmup:
                    times[name].append(1000 * (time.perf_counter() - started))
    return {name: median(values) for name, values in times.items()}
