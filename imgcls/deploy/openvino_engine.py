"""An exported graph under OpenVINO on the CPU: the files of Paddle and of ONNX as they are, and its own."""

import hashlib
import importlib.util
import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls.deploy.contract import FILES, NAME
from imgcls.deploy.harmless import require_harmless
from imgcls.deploy.operators import PADDLE_3_PROGRAM
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.files import atomic_write, remove, sha256

if TYPE_CHECKING:
    import openvino as ov

DEVICE = "CPU"
HINTS = {"latency": "LATENCY", "throughput": "THROUGHPUT"}
"""OpenVINO's name of each of ``choices.ENGINE_MODES``."""

DIGEST_BYTES = 32
"""Of the sha256 before what was compiled, in a file of the cache."""


def openvino(
    directory: str | Path,
    threads: int | None = None,
    bfloat16: bool = False,
    mode: str = "latency",
    model_cache: Path | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """The graph under OpenVINO, in float32 unless it is asked for less or was quantised.

    The first shape of a batch gets kernels made for it, as most batches are alike; all others share one
    network for any number of images.

    Args:
        threads: of the CPU; all cores of this process when left out.
        bfloat16: compute in bfloat16, which changes the answers.
        mode: ``latency`` gives all threads to a batch; ``throughput`` divides it among streams of few
            threads each, which work at the same time.
        model_cache: directory where compiled networks are kept for the next process.

    Raises:
        UserError: OpenVINO is not installed or cannot read the graph; the graph does more than to compute;
            this processor has no bfloat16.
    """
    require_openvino()
    require_harmless(directory)
    core = openvino_core()
    has_bfloat16 = "BF16" in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if bfloat16 and (cpu.onednn_is_kept_from_bfloat16() or not has_bfloat16):
        raise UserError("This processor cannot compute in bfloat16. Leave out predict.bfloat16.")
    # By itself it takes bfloat16 where the processor has it.
    properties = {"INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32", "PERFORMANCE_HINT": HINTS[mode]}
    compiler = _Compiler(core, read_graph(core, directory), properties, directory, model_cache)
    return _Network(compiler, threads or cpu.usable_cores(), divided=mode == "throughput")


@cache
def openvino_core() -> "ov.Core":
    """OpenVINO and its plugin for the CPU, once for a process and never let go.

    Where the processor has AMX, the plugin gives the thread that loads it a stack for handlers of signals, and goes
    back to the one before when it goes (2026.4). Of two plugins the first to go leaves the other a stack that is not
    there any more, and the next signal is a segmentation fault.
    """
    import openvino as ov

    core = ov.Core()
    core.get_property(DEVICE, "FULL_DEVICE_NAME")  # loads it
    return core


def require_openvino(*packages: str) -> None:
    """Refuse to go on without OpenVINO, or further packages of the extra ``int8``.

    Raises:
        UserError: one is not installed.
    """
    for package in ("openvino", *packages):
        if importlib.util.find_spec(package) is None:
            extra = "int8" if packages else "openvino"
            raise UserError(f'This needs the package {package}. Install it with: pip install "imgcls[{extra}]"')


def read_graph(core: "ov.Core", directory: str | Path) -> "ov.Model":
    """The graph of an export that was looked through.

    Raises:
        UserError: OpenVINO cannot read it.
    """
    names = (files[0] for files in FILES.values())
    path = next((path for name in names if (path := Path(directory) / name).is_file()), Path(directory) / NAME)
    if path.suffix == PADDLE_3_PROGRAM:
        raise UserError(
            f"{path}: OpenVINO reads no program of PaddlePaddle 3. Export with PaddlePaddle 2.6.2, or for ONNX."
        )
    try:
        return core.read_model(path)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-300:]
        raise UserError(f"OpenVINO cannot read {path}: {reason}") from error


def _attends(model: "ov.Model") -> bool:
    """Whether a softmax is in the midst of the graph, as in attention."""
    softmaxes = [node for node in model.get_ops() if node.get_type_name() == "Softmax"]
    readers = [one.get_node() for node in softmaxes for one in node.output(0).get_target_inputs()]
    return any(node.get_type_name() != "Result" for node in readers)


class _Network:
    """From an input array to the output array; compiled when it is first asked for a shape."""

    def __init__(self, compiler: "_Compiler", threads: int, divided: bool):
        self._compiler, self._threads, self._divided = compiler, threads, divided
        self._streams = 0
        self._usual: tuple[int, ...] = ()
        self._requests: dict[bool, list[Any]] = {}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if not self._streams:
            self._streams = min(self._threads, len(images)) if self._divided else 1
            self._usual = (-(-len(images) // self._streams), *images.shape[1:])
        parts = [np.ascontiguousarray(part) for part in np.array_split(images, min(self._streams, len(images)))]
        requests = [self._request(part.shape, number) for number, part in enumerate(parts)]
        if len(parts) == 1:  # in this thread: to wake another one takes 2 % of ResNet50_vd's time in int8
            requests[0].infer([parts[0]], share_inputs=True, share_outputs=True)
        else:
            for request, part in zip(requests, parts, strict=True):
                request.start_async([part], share_inputs=True)
            for request in requests:
                request.wait()
        # copied, for the next batch is written to the same place
        return np.concatenate([request.get_output_tensor(0).data for request in requests])

    def _request(self, shape: tuple[int, ...], number: int) -> Any:
        is_usual = shape == self._usual
        if is_usual not in self._requests:
            compiled = self._compiler(shape if is_usual else None, self._streams, self._threads)
            self._requests[is_usual] = [compiled.create_infer_request() for _ in range(self._streams)]
        return self._requests[is_usual][number]


class _Compiler:
    """Makes a graph ready to run, or finds what an earlier process made of it."""

    def __init__(
        self,
        core: "ov.Core",
        model: "ov.Model",
        properties: Mapping[str, str],
        directory: str | Path,
        cache: Path | None,
    ):
        self._core, self._model, self._properties, self._cache = core, model, properties, cache
        self._files = [path for names in FILES.values() for name in names if (path := Path(directory) / name).is_file()]

    def __call__(self, shape: tuple[int, ...] | None, streams: int, threads: int) -> "ov.CompiledModel":
        """For one shape of the input, or for all that the graph takes."""
        properties = {**self._properties, "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads}
        if shape is not None and _attends(self._model):
            # OpenVINO 2026.4 fuses attention wrongly, without a word, for some shapes that it knows whole.
            shape = (-1, *shape[1:])
        if self._cache is None:
            return self._compile(shape, properties)
        path = self._cache / f"{self._key(shape, properties)}.bin"
        kept = _kept(path)
        if kept is not None:
            try:
                return self._core.import_model(io.BytesIO(kept), DEVICE, properties)
            except RuntimeError:
                remove(path)  # of another build of OpenVINO
        compiled = self._compile(shape, properties)
        content = compiled.export_model().getvalue()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, shared=True) as partial:
            partial.write_bytes(hashlib.sha256(content).digest() + content)
        return compiled

    def _compile(self, shape: tuple[int, ...] | None, properties: Mapping[str, Any]) -> "ov.CompiledModel":
        model = self._model
        if shape is not None:
            model = model.clone()
            model.reshape(list(shape))
        return self._core.compile_model(model, DEVICE, properties)

    def _key(self, shape: tuple[int, ...] | None, properties: Mapping[str, Any]) -> str:
        import openvino as ov

        machine = self._core.get_property(DEVICE, "FULL_DEVICE_NAME")
        digests = [sha256(path) for path in self._files]
        known = repr((ov.__version__, machine, digests, shape, sorted(properties.items())))
        return hashlib.sha256(known.encode()).hexdigest()[:DIGEST_BYTES]


def _kept(path: Path) -> bytes | None:
    """What was compiled before, if it is there and whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, content = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None
