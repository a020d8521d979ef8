"""From a Paddle graph to an ONNX one, with paddle2onnx; both come with the extra ``onnx`` (Paddle 3: ``onnx3``)."""

import importlib.util
from multiprocessing import get_context
from pathlib import Path

from imgcls.deploy.contract import NAME, PARAMETERS, model_files
from imgcls.errors import UserError
from imgcls.machine.installation import PADDLE_3, require_line, require_paddle

OPSET = 14
"""The first with the HardSwish of MobileNetV3; of 2021, so that what runs ONNX today knows it."""

LARGEST = 2**31
"""Bytes that a protobuf message, which an ONNX file is, may have."""


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
    # It ends the process where it cannot convert, so it gets one of its own.
    files = [directory / name for name in model_files(directory)]
    process = get_context("spawn").Process(target=_export, args=(*files, target))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise UserError("paddle2onnx cannot convert this network; it says why above. Use export.format=paddle.")
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


def _export(model: Path, parameters: Path, target: Path) -> None:
    require_paddle()
    import paddle2onnx

    # That for PaddlePaddle 3 would fold constants with a tool that installs what it misses, from anywhere.
    folding = {"optimize_tool": "none"} if model.suffix == ".json" else {}
    paddle2onnx.export(
        str(model),
        str(parameters),
        save_file=str(target),
        opset_version=OPSET,
        auto_upgrade_opset=False,
        verbose=False,
        enable_onnx_checker=False,
        **folding,
    )
