"""From a Paddle graph to an ONNX one, with paddle2onnx; both come with the extra ``onnx``."""

import importlib.util
from pathlib import Path

from imgcls.deploy.graph import NAME
from imgcls.errors import UserError

OPSET = 13
"""Of 2021: what runs ONNX today knows it, and every operator of the networks here is in it."""


def convert(directory: Path) -> dict[str, str]:
    """Replace ``inference.pdmodel`` and ``inference.pdiparams`` by ``inference.onnx``, checked by onnx itself.

    Returns:
        Versions, of the converter and of the operators.

    Raises:
        UserError: the extra is missing, or the graph cannot be converted.
    """
    for module in ("paddle2onnx", "onnx"):
        require_onnx(module)
    import onnx
    import paddle2onnx

    model, parameters = directory / f"{NAME}.pdmodel", directory / f"{NAME}.pdiparams"
    target = directory / f"{NAME}.onnx"
    try:
        paddle2onnx.export(
            str(model),
            str(parameters),
            save_file=str(target),
            opset_version=OPSET,
            auto_upgrade_opset=False,
            verbose=False,
            enable_onnx_checker=False,
        )
        onnx.checker.check_model(str(target))
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise UserError(f"paddle2onnx cannot convert this network: {error}. Use export.format=paddle.") from error
    model.unlink()
    parameters.unlink()
    return {"paddle2onnx": paddle2onnx.__version__, "onnx_opset": str(OPSET)}


def require_onnx(module: str) -> None:
    """Refuse to go on without a package of the extra ``onnx``.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise UserError(f'ONNX needs the package {module}. Install it with: pip install "imgcls[onnx]"')
