"""Ways to run an exported graph: each gives a function from an input array to the output array."""

import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
from paddle.inference import Config, create_predictor

from imgcls.deploy.choices import ENGINE_NAMES
from imgcls.deploy.compatible import require_reader
from imgcls.deploy.contract import NAME, PARAMETERS
from imgcls.deploy.gpu import TensorRT, use_gpu, use_tensorrt
from imgcls.deploy.harmless import require_harmless
from imgcls.deploy.onnx_graph import converted, require_onnx
from imgcls.deploy.openvino_engine import openvino
from imgcls.deploy.operators import PADDLE_2_PROGRAM, model_file
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.paddle_internals import supports_bfloat16

Run = Callable[[np.ndarray], np.ndarray]

UNWANTED_PASSES = (
    "batch_norm_act_fuse_pass",
    "matmul_add_act_fuse_pass",
    "matmul_elementwise_add_mkldnn_fuse_pass",
)
"""Beside oneDNN. The first takes a batch norm with one activation after it for a pair, and fails in DARTS, where there
are two; the second, of PaddlePaddle 3, takes the windows of Swin for a matrix, and fails as well (3.3.1). The third,
of 2.6.2, makes a sum of large maps part of a product: Swin takes nine times as long."""


def jit(directory: str | Path) -> Run:
    """The graph under ``paddle.jit.load``: the kernels of eager mode, and its numbers.

    Raises:
        UserError: the graph does more than to compute, or is of another line of Paddle.
    """
    require_harmless(directory)
    require_reader(directory, jit=True)
    network = paddle.jit.load(str(Path(directory) / NAME))
    network.eval()

    def run(images: np.ndarray) -> np.ndarray:
        with paddle.no_grad():
            return network(paddle.to_tensor(images)).numpy()

    return run


def inference(
    directory: str | Path,
    threads: int | None = None,
    onednn: bool | None = None,
    bfloat16: bool = False,
    gpu_id: int | None = None,
    gpu_mem: int | None = None,
    tensorrt: TensorRT | None = None,
) -> Run:
    """The graph under ``paddle.inference``, optimised for the device.

    Args:
        threads: of the CPU; all cores of this process when left out.
        onednn: whether oneDNN's kernels are used; on x86 when left out.
        bfloat16: let oneDNN compute in bfloat16, which changes the answers.
        gpu_id: number of a GPU; the CPU when left out.
        gpu_mem: MB that are reserved on the GPU at the start; as many as Paddle likes when left out.
        tensorrt: let TensorRT run on the GPU what it can.

    Raises:
        UserError: this machine or this build of Paddle cannot do what is asked for, or not read the graph; it does
            more than to compute.
    """
    require_harmless(directory)
    require_reader(directory)
    program = model_file(Path(directory), NAME)
    config = Config(str(program), str(program.with_name(PARAMETERS)))
    config.disable_glog_info()
    if program.suffix == PADDLE_2_PROGRAM:
        config.enable_memory_optim()  # a program of Paddle 3 is planned by its own passes, and fails with this one
    if gpu_id is not None:
        use_gpu(config, gpu_id, gpu_mem)
    else:
        config.disable_gpu()
        _use_cpu(config, threads, onednn, bfloat16)
    if tensorrt is not None:
        use_tensorrt(config, tensorrt)
    predictor = create_predictor(config)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    result = predictor.get_output_handle(predictor.get_output_names()[0])

    def run(images: np.ndarray) -> np.ndarray:
        source.copy_from_cpu(np.ascontiguousarray(images))
        predictor.run()
        return result.copy_to_cpu()

    return run


def onnxruntime(directory: str | Path, threads: int | None = None) -> Run:
    """An ONNX graph under onnxruntime on the CPU; a Paddle graph is converted first, once.

    Raises:
        UserError: onnxruntime, or what converts, is not installed; the graph does more than to compute, or
            cannot be converted.
    """
    require_onnx("onnxruntime")
    require_harmless(directory)
    if not (Path(directory) / f"{NAME}.onnx").is_file():
        directory = converted(directory)
        require_harmless(directory)
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads or cpu.usable_cores()
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads leave the cores to the readers
    session = InferenceSession(str(Path(directory) / f"{NAME}.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: np.ndarray) -> np.ndarray:
        return session.run(None, {name: images})[0]

    return run


def is_x86() -> bool:
    """Whether this is a processor that oneDNN is made for."""
    return platform.machine().lower() in ("x86_64", "amd64")


def _use_cpu(config: Config, threads: int | None, onednn: bool | None, bfloat16: bool) -> None:
    config.set_cpu_math_library_num_threads(threads or cpu.usable_cores())
    onednn = is_x86() if onednn is None else onednn
    if bfloat16 and not onednn:
        raise UserError("bfloat16 is computed by oneDNN. Leave predict.onednn out, or set it to true (x86 only).")
    if bfloat16 and not supports_bfloat16():
        raise UserError("This processor cannot compute in bfloat16 (AVX512_BF16). Leave out predict.bfloat16.")
    if onednn:
        config.enable_mkldnn()
        for name in UNWANTED_PASSES:
            config.delete_pass(name)
    else:
        config.disable_mkldnn()  # Paddle switches it on by itself
    if bfloat16:
        config.enable_mkldnn_bfloat16()


ENGINES = dict(zip(ENGINE_NAMES, (jit, inference, onnxruntime, openvino), strict=True))
ENGINES_OF = {
    "paddle": ("inference", "jit", "openvino", "onnxruntime"),
    "pir": ("inference", "jit", "onnxruntime"),
    "onnx": ("onnxruntime", "openvino"),
    "openvino": ("openvino",),
}
"""Those that run each kind of graph; the first is the one that is taken when none is named."""

CHECKED_WITH = {
    "paddle": ("inference", "jit"),
    "pir": ("inference", "jit"),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
}
"""Those that the exporter compares with the network."""
