"""What can run an export's model files: each gives a function from the input array to the output array."""

import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from statistics import median

import engine_process
import numpy as np

FILES = {
    "paddle": ("inference.pdmodel", "inference.pdiparams"),
    "pir": ("inference.json", "inference.pdiparams"),
    "onnx": ("inference.onnx",),
    "openvino": ("inference.xml", "inference.bin"),
}
FASTEST = "auto"
ROUNDS, TIMES, REST = 3, 5, 0.2  # of a measurement; seconds for which the threads of the last engine go on turning


def paddle_inference(directory, threads):
    return (paddle_here if paddle_version().startswith("2.") else engine_process.start)(directory, threads)


def paddle_here(directory, threads):
    from paddle.inference import Config, create_predictor

    config = Config(*(str(directory / name) for name in FILES[graph_kind(directory)]))
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(threads)
    for name in ("batch_norm_act_fuse_pass", "matmul_add_act_fuse_pass", "matmul_elementwise_add_mkldnn_fuse_pass"):
        config.delete_pass(name)  # beside oneDNN they fail in DARTS and Swin, or make Swin nine times slower
    predictor = create_predictor(config)

    def run(images):
        predictor.get_input_handle("images").copy_from_cpu(images)
        predictor.run()
        return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()

    return run


def onnxruntime(directory, threads):
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads leave the decoders their cores
    session = InferenceSession(str(directory / FILES["onnx"][0]), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {session.get_inputs()[0].name: images})[0]


def openvino(directory, threads):
    from openvino import Core

    core, graph = Core(), next(path for names in FILES.values() if (path := directory / names[0]).is_file())
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = core.compile_model(core.read_model(graph), "CPU", hints).create_infer_request()
    return lambda images: request.infer([images], share_inputs=True).to_tuple()[0].copy()


ENGINES = {  # name, of which graphs, package, function
    "inference": (("paddle", "pir"), "paddle", paddle_inference),
    "onnxruntime": (("onnx",), "onnxruntime", onnxruntime),
    "openvino": (("paddle", "onnx", "openvino"), "openvino", openvino),
}


def paddle_version():
    """Of the Paddle that is installed, without importing it; none at all reads what others of its age read."""
    for name in ("paddlepaddle", "paddlepaddle-gpu"):
        with suppress(PackageNotFoundError):
            return version(name)
    return "3.0"


def graph_kind(directory):
    """Of the model files that are there."""
    found = [kind for kind, names in FILES.items() if (directory / names[0]).is_file()]
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} models: one of {', '.join(names[0] for names in FILES.values())} is")
    return found[0]


def load_engine(directory, name, threads, image, max_batch):
    """The name and the function of an engine: the first for this kind of graph, or the fastest of them.

    The fastest is that with the smallest sum, over batches of 1 and of the largest number, of an image's time.
    """
    kind = graph_kind(directory)
    able = [engine for engine, (kinds, package, _) in ENGINES.items() if kind in kinds and find_spec(package)]
    if name is None or name == FASTEST:
        if not able:
            needed = " or ".join(package for kinds, package, _ in ENGINES.values() if kind in kinds)
            raise ValueError(f"a model of this kind needs {needed}")
        names = able if name == FASTEST else able[:1]
    elif name in able:
        names = [name]
    else:
        raise ValueError(f"the engine {name} is not installed, or not for a model of this kind")
    runs = {engine: ENGINES[engine][2](directory, threads) for engine in names}
    if len(runs) == 1:
        return next(iter(runs.items()))
    times = {engine: [] for engine in runs}
    for _ in range(ROUNDS):
        for engine, run in runs.items():
            time.sleep(REST)
            times[engine].append(sum(seconds(run, np.stack([image] * count)) / count for count in (1, max_batch)))
    best = min(runs, key=lambda engine: median(times[engine]))
    return best, runs[best]


def seconds(run, images):
    run(images)
    started = time.perf_counter()
    for _ in range(TIMES):
        run(images)
    return (time.perf_counter() - started) / TIMES
