"""``paddle.inference`` on a GPU: its number and memory, and TensorRT."""

from dataclasses import dataclass
from pathlib import Path

from paddle.inference import Config, PrecisionType, get_trt_compile_version

from imgcls.deploy.choices import TENSORRT_PRECISIONS
from imgcls.deploy.graph import INPUT
from imgcls.errors import UserError
from imgcls.machine.installation import gpu_count

PRECISIONS = {name: getattr(PrecisionType, own) for name, own in TENSORRT_PRECISIONS.items()}
WORKSPACE = 1 << 30
"""Bytes that TensorRT may try its kernels in."""

SMALLEST_PART = 3
"""Operators that TensorRT must be able to run in a row before a part of the graph is given to it."""


@dataclass(frozen=True, kw_only=True)
class TensorRT:
    """How TensorRT runs a graph.

    Args:
        precision: a key of ``PRECISIONS``. A first program computes ``int8`` in float to learn the
            ranges of the values; they stay in the cache.
        batch_size: the usual and largest one; smaller ones need no other engine.
        image_shape: of one image as the graph takes it.
        cache: directory of the engines, which take minutes to build. They are for one graph and
            one kind of GPU.
    """

    precision: str
    batch_size: int
    image_shape: tuple[int, int, int]
    cache: Path


def use_gpu(config: Config, gpu_id: int, gpu_mem: int | None) -> None:
    """Compute on a GPU, and reserve ``gpu_mem`` MB of it.

    Raises:
        UserError: there is no such GPU, or this is a CPU build of Paddle.
    """
    available = gpu_count()
    if gpu_id >= available:
        raise UserError(f"predict.gpu_id={gpu_id}: {_gpus(available)} Leave it out to predict on the CPU.")
    config.enable_use_gpu(config.memory_pool_init_size_mb() if gpu_mem is None else gpu_mem, gpu_id)


def use_tensorrt(config: Config, tensorrt: TensorRT) -> None:
    """Give TensorRT what it can run of the graph.

    Raises:
        UserError: no GPU is in use, or this build of Paddle is without TensorRT.
    """
    if not config.use_gpu():
        raise UserError(f"predict.tensorrt={tensorrt.precision} is for GPUs: {_gpus(gpu_count())} Set predict.gpu_id.")
    if get_trt_compile_version() == (0, 0, 0):
        raise UserError("This build of PaddlePaddle is without TensorRT. Leave out predict.tensorrt.")
    tensorrt.cache.mkdir(parents=True, exist_ok=True)
    config.set_optim_cache_dir(str(tensorrt.cache))
    config.enable_tensorrt_engine(
        workspace_size=WORKSPACE,
        max_batch_size=tensorrt.batch_size,
        min_subgraph_size=SMALLEST_PART,
        precision_mode=PRECISIONS[tensorrt.precision],
        use_static=True,
        use_calib_mode=tensorrt.precision == "int8",
    )
    smallest, largest = ({INPUT: [count, *tensorrt.image_shape]} for count in (1, tensorrt.batch_size))
    config.set_trt_dynamic_shape_info(smallest, largest, largest)


def _gpus(available: int) -> str:
    if available:
        return f"this machine has {available}, numbered from 0."
    return "this machine has none that PaddlePaddle can use (is it a CPU build? see python -m imgcls.doctor)."
