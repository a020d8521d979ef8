"""int8 for graphs of OpenVINO and ONNX: as many layers as the accuracy allows, made in a process of its own."""

import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcls.deploy.contract import Contract
from imgcls.errors import UserError
from imgcls.machine.reading import read_json

PACKAGE_AT = Path(__file__).parents[2]
TASK, RESULT = "task.json", "result.json"


@dataclass(frozen=True)
class LabelledImages:
    """What a network is measured on.

    Args:
        images: uint8 ``[N, height, width, 3]``.
        labels: int ``[N]``, numbers of the export's classes.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def quantize(
    directory: Path, contract: Contract, calibration: np.ndarray, validation: LabelledImages, max_drop: float
) -> dict[str, Any]:
    """Replace the float graph of an export for OpenVINO or ONNX by one with int8 layers.

    The ranges of activations are learned from ``calibration``; if that costs more than ``max_drop``, the
    layers that cost the most compute in float again, until it does not.

    Args:
        contract: that is in ``directory``, too.
        calibration: uint8 ``[N, height, width, 3]``.
        max_drop: of the share of right answers on ``validation``.

    Returns:
        What it cost, for ``Contract.quantization``.

    Raises:
        UserError: the extra is missing; no graph with int8 layers keeps the bound.
    """
    with tempfile.TemporaryDirectory() as scratch:
        task = {
            "graph": contract.graph,
            "calibration": _stored(calibration, Path(scratch) / "calibration"),
            "validation": _stored(validation.images, Path(scratch) / "validation"),
            "labels": validation.labels.tolist(),
            "max_drop": max_drop,
        }
        return _in_own_process(directory, task, Path(scratch))


def quantize_for_measuring(directory: Path, count: int) -> None:
    """The same for OpenVINO with noise in place of images and without a bound: for how fast it is, not for answers.

    Args:
        count: of the images.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _in_own_process(directory, {"noise": count}, Path(scratch))


def _in_own_process(directory: Path, task: dict[str, Any], scratch: Path) -> Any:
    """What ``int8_process`` answers. Where this process is stopped, that one is ended first."""
    (scratch / TASK).write_text(json.dumps({**task, "directory": str(directory.absolute())}), encoding="utf-8")
    known = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE_AT), *([known] if known else [])])}
    command = [sys.executable, "-P", "-m", "imgcls.deploy.int8_process", str(scratch), str(os.getpid())]
    # A session of its own: an interrupt from the keyboard is for this process alone.
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        status = process.wait()
    finally:
        process.kill()
        process.wait()
    if status < 0:
        raise UserError(
            f"The process that makes int8 was ended by {signal.Signals(-status).name}, most likely because the machine "
            "ran out of memory. Nothing was written. Calibrate on fewer pictures, or export without export.quantize."
        )
    if status:
        raise RuntimeError(f"the process that makes int8 ended with status {status}; what it says is above")
    answer = read_json(scratch / RESULT)
    if "error" in answer:
        raise UserError(answer["error"])
    return answer["cost"]


def _stored(images: np.ndarray, file: Path) -> dict[str, Any]:
    """A file of images for another process: theirs, where they are in one; else ``file``."""
    base: Any = images
    while isinstance(base, np.ndarray):
        base = base.base
    offset = 0
    if isinstance(base, mmap.mmap) and isinstance(images, np.memmap) and images.flags.c_contiguous:
        images.flush()
        file = Path(images.filename)
        begins = images.offset - images.offset % mmap.ALLOCATIONGRANULARITY
        offset = begins + images.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
    else:
        images.tofile(file)
    return {"file": str(file), "offset": offset, "shape": list(images.shape)}
