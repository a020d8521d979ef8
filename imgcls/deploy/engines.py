"""Ways to run an exported graph: each gives a function from an input array to the output array."""

import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle

from imgcls import cpu

Run = Callable[[np.ndarray], np.ndarray]

NAME = "inference"
"""Model files are ``inference.pdmodel`` and ``inference.pdiparams``."""


def jit(directory: str | Path) -> Run:
    """The graph under ``paddle.jit.load``: the kernels of eager mode, and its numbers."""
    network = paddle.jit.load(str(Path(directory) / NAME))
    network.eval()

    def run(images: np.ndarray) -> np.ndarray:
        with paddle.no_grad():
            return network(paddle.to_tensor(images)).numpy()

    return run


def inference(directory: str | Path, threads: int | None = None, onednn: bool | None = None) -> Run:
    """The graph under ``paddle.inference`` on the CPU, optimised for it.

    Args:
        threads: of the CPU; all cores of this process when left out.
        onednn: whether oneDNN's kernels are used; on x86 when left out.
    """
    from paddle.inference import Config, create_predictor

    config = Config(str(Path(directory) / f"{NAME}.pdmodel"), str(Path(directory) / f"{NAME}.pdiparams"))
    config.disable_gpu()
    config.disable_glog_info()
    config.enable_memory_optim()
    config.set_cpu_math_library_num_threads(threads or cpu.usable_cores())
    if onednn if onednn is not None else is_x86():
        config.enable_mkldnn()
    predictor = create_predictor(config)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    result = predictor.get_output_handle(predictor.get_output_names()[0])

    def run(images: np.ndarray) -> np.ndarray:
        source.copy_from_cpu(np.ascontiguousarray(images))
        predictor.run()
        return result.copy_to_cpu()

    return run


def is_x86() -> bool:
    """Whether this is a processor that oneDNN is made for."""
    return platform.machine().lower() in ("x86_64", "amd64")


ENGINES = {"jit": jit, "inference": inference}
