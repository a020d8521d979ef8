"""From a Paddle graph to OpenVINO's own files; with the extra ``openvino``."""

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from imgcls.deploy.contract import MODEL_FILES, OPENVINO_FILES
from imgcls.deploy.openvino_engine import openvino_core, read_graph, require_openvino
from imgcls.errors import UserError

if TYPE_CHECKING:
    import openvino as ov


def convert(directory: Path) -> dict[str, str]:
    """Replace ``inference.pdmodel`` and ``inference.pdiparams`` by ``inference.xml`` and ``inference.bin``.

    Returns:
        Versions, of the converter.

    Raises:
        UserError: the extra is missing, or OpenVINO cannot read the graph.
    """
    require_openvino()
    model = read_graph(openvino_core(), directory)
    save(model, directory)
    del model  # which has the files open
    for name in MODEL_FILES:
        (directory / name).unlink()
    return {"openvino": metadata.version("openvino")}


def save(model: "ov.Model", directory: Path) -> None:
    """Write ``inference.xml`` and ``inference.bin``, the tensors in the precision that they have."""
    import openvino as ov

    try:
        ov.save_model(model, directory / OPENVINO_FILES[0], compress_to_fp16=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[-300:]
        raise UserError(f"The model could not be written: {reason} Is the disk full?") from error
