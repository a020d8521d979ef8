"""From a Paddle graph to an ONNX one, with paddle2onnx; both come with the extra ``onnx`` (Paddle 3: ``onnx3``)."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from imgcls.deploy.contract import NAME, ONNX_FILES, PARAMETERS, model_files
from imgcls.errors import UserError
from imgcls.machine.files import atomic_write, sha256
from imgcls.machine.installation import PADDLE_3, require_line
from imgcls.weights.download import cache_directory

OPSET = 14
"""The first with the HardSwish of MobileNetV3; of 2021, so that what runs ONNX today knows it."""

LARGEST = 2**31
"""Bytes that a protobuf message, which an ONNX file is, may have."""

CONVERTER = """
import inspect, sys, types
from importlib.metadata import version
if version("paddle2onnx").startswith("1."):  # loads Paddle, which takes seconds, for a function that is not used here
    sys.modules["paddle"] = types.ModuleType("paddle")
import paddle2onnx
model, parameters, target, opset = sys.argv[1:]
# That for PaddlePaddle 3 would fold constants with a tool that installs what it misses, from anywhere.
folding = {"optimize_tool": "none"} if "optimize_tool" in inspect.signature(paddle2onnx.export).parameters else {}
paddle2onnx.export(model, parameters, save_file=target, opset_version=int(opset), auto_upgrade_opset=False,
                   verbose=False, enable_onnx_checker=False, **folding)
"""
"""The program of the process that converts."""


def convert(directory: Path) -> dict[str, str]:
    """Replace the program and ``inference.pdiparams`` by ``inference.onnx``, checked by onnx itself.

    Returns:
        Versions, of the converter and of the operators.

    Raises:
        UserError: the extra is missing, or the graph cannot be converted.
    """
    require_onnx("paddle2onnx", "onnx")
    import onnx
    import paddle2onnx

    if (directory / PARAMETERS).stat().st_size >= LARGEST:
        raise UserError("ONNX files hold less than 2 GiB, and this network is larger. Use export.format=paddle.")
    target = directory / f"{NAME}.onnx"
    files = [directory / name for name in model_files(directory)]
    _run_converter(*files, target)
    try:
        onnx.checker.check_model(str(target))
    except onnx.checker.ValidationError as error:
        raise UserError(
            f"paddle2onnx wrote a graph that is no valid ONNX: {error}. Use export.format=paddle."
        ) from error
    for file in files:
        file.unlink()
    return {"paddle2onnx": paddle2onnx.__version__, "onnx_opset": str(OPSET)}


def require_onnx(*packages: str) -> None:
    """Refuse to go on without packages of the extra ``onnx``.

    Raises:
        UserError: one is not installed.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            extra = "onnx3" if require_line() is PADDLE_3 else "onnx"
            raise UserError(f'ONNX needs the package {package}. Install it with: pip install "imgcls[{extra}]"')


def converted(directory: str | Path) -> Path:
    """A directory with the ONNX graph of a Paddle export, which is made once and kept in the cache.

    Raises:
        UserError: the extra is missing, the graph cannot be converted, or the cache cannot be written.
    """
    source = Path(directory)
    names = model_files(source)
    digests = "".join(sha256(source / name) for name in names)
    target = cache_directory() / "onnx" / hashlib.sha256(digests.encode()).hexdigest()[:32]
    if not (target / ONNX_FILES[0]).is_file():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target, shared=True) as partial:
                partial.mkdir()
                for name in names:
                    shutil.copyfile(source / name, partial / name)
                convert(partial)
        except OSError as error:
            raise UserError(f"{target} could not be written: {error.strerror or error}.") from error
    return target


def _run_converter(model: Path, parameters: Path, target: Path) -> None:
    """In a process of its own, for it ends its process where it cannot convert; with none of our modules."""
    words = [sys.executable, "-P", "-c", CONVERTER, str(model), str(parameters), str(target), str(OPSET)]
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0 or not target.is_file():
        said = (done.stdout + done.stderr).decode("utf-8", "replace").split()
        raise UserError(f"paddle2onnx cannot convert this network: {' '.join(said)[-500:]} Use export.format=paddle.")
