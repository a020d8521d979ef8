"""``python -m imgcls.convert``: weights of one format into another."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from imgcls.app.program import entry_point
from imgcls.errors import UserError
from imgcls.machine.files import atomic_write, beside
from imgcls.machine.installation import require_paddle
from imgcls.run.lock import held
from imgcls.run.logs import log, start_log
from imgcls.weights.choices import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import paddle

    from imgcls.models.registry import ModelInfo
    from imgcls.weights.peers.adopt import Adopted
    from imgcls.weights.source import Weights

FOREIGN = (".safetensors", ".pth")
EXPORTED = "imgcls.export writes it, from a run or from weights as export.source"
NOT_WRITTEN = {
    ".onnx": f"{EXPORTED}, with export.format=onnx",
    ".xml": f"{EXPORTED}, with export.format=openvino",
    ".pdmodel": EXPORTED,
    ".pdiparams": EXPORTED,
    ".pt": "write .pth",
    ".bin": "write .pth or .safetensors",
    ".ckpt": "write .pth or .safetensors",
    ".npz": "write .safetensors",
    ".npy": "write .safetensors",
    ".h5": "write .safetensors",
    ".zip": "write .pdparams, or a name without an ending for a directory of the old library",
    ".tar": "write .pdparams, or a name without an ending for a directory of the old library",
}
"""Endings that say another format than any that is written here, and what to do."""


@entry_point("convert")
def main(config: DictConfig) -> None:
    settings, model = config.convert, config.model
    output = Path(settings.output)
    _require_written_here(output)
    _require_absent(output)
    require_paddle()
    from imgcls.models.registry import build_model, model_info
    from imgcls.weights.fluid.training import select_averaged
    from imgcls.weights.load import load_into
    from imgcls.weights.peers.rules import title
    from imgcls.weights.source import locate_weights, read_weights

    start_log()
    path = locate_weights(settings.source)
    weights = read_weights(path)
    if settings.weights == "averaged":
        weights = weights._replace(arrays=select_averaged(weights.arrays))
    adopted = _adopted(model, weights, path)
    num_classes = model.num_classes or _class_count(model, adopted.arrays)
    network = build_model(model.name, num_classes=num_classes, **model.args)
    report = load_into(network, adopted.arrays, adopted.naming, list(model.exclude), source=str(settings.source))
    report.peer, report.remarks = adopted.peer and title(adopted.peer), adopted.remarks
    if report.reinitialised:
        raise UserError(
            f"{settings.source} has another class count than {num_classes}: {report.summary()}. "
            "Leave model.num_classes out to take the weights' own."
        )
    log.info(report.summary())
    if settings.fuse:
        network = _fused(network, model.name)
    with held(output, beside(output.absolute(), "lock"), "convert.output"):
        _require_absent(output)
        _write(network, output, model_info(model.name), settings.names)
    log.info("%s with %d classes: %s", model.name, num_classes, output)


def _require_written_here(output: Path) -> None:
    if advice := NOT_WRITTEN.get(output.suffix.lower()):
        raise UserError(f"convert.output={output}: no {output.suffix} file is written here; {advice}.")


def _require_absent(output: Path) -> None:
    if output.exists():
        raise UserError(f"convert.output={output} exists already; choose another name or remove it.")
    around = next(path for path in output.absolute().parents if path.exists())
    if not around.is_dir():
        raise UserError(f"convert.output={output}: {around} is a file, not a directory.")


def _sketch(model: DictConfig) -> "paddle.nn.Layer":
    """The network without values."""
    import paddle

    from imgcls.models.registry import build_model

    with paddle.LazyGuard():
        return build_model(model.name, **model.args)


def _adopted(model: DictConfig, weights: "Weights", path: Path) -> "Adopted":
    """Weights as ours, whoever wrote them."""
    from imgcls.models.registry import model_info
    from imgcls.weights.peers.adopt import Adopted, adopt

    if weights.maker is None and model.pretrained_from is None:
        return Adopted(weights.arrays, weights.naming, None, [])
    return adopt(_sketch(model), model_info(model.name), weights, path, model.pretrained_from)


def _class_count(model: DictConfig, arrays: "Mapping[str, np.ndarray]") -> int:
    """How many classes the stored last layer has, whichever way it is named; 1000 when it is not there."""
    from imgcls.models.layers import fluid_names

    for name in ("head.bias", fluid_names(_sketch(model)).get("head.bias")):
        if name in arrays:
            return len(arrays[name])
    return 1000


def _fused(network: "paddle.nn.Layer", name: str) -> "paddle.nn.Layer":
    if not hasattr(network, "to_deploy"):
        raise UserError(f"convert.fuse is for the ACNet models; {name} has nothing to fuse.")
    return network.to_deploy()


def _write(network: "paddle.nn.Layer", output: Path, info: "ModelInfo", names: str | None) -> None:
    """A ``.pdparams``, ``.safetensors`` or ``.pth`` file, or a fluid directory; whole or absent."""
    import paddle

    from imgcls.weights.fluid.files import write_directory

    state = network.state_dict()
    if output.suffix not in (".pdparams", *FOREIGN):
        write_directory(output, {tensor.name: tensor.numpy() for tensor in state.values()})
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output) as partial:
        if output.suffix in FOREIGN:
            _write_foreign(network, partial, output.suffix, info, names)
        else:
            paddle.save(state, str(partial))


def _write_foreign(
    network: "paddle.nn.Layer", partial: Path, suffix: str, info: "ModelInfo", names: str | None
) -> None:
    from imgcls.weights.peers.adopt import named_for_torch
    from imgcls.weights.safetensors_file import write_safetensors
    from imgcls.weights.torch_file import write_torch

    arrays, whose = named_for_torch(network, info, names)
    if suffix == ".safetensors":
        facts = {"format": "pt", "names": whose, "model": info.name}
        if info.modern and whose != OURS:  # several of timm's networks have tensors of the same names and shapes
            facts["architecture"] = info.name
        write_safetensors(partial, arrays, facts)
    else:
        write_torch(partial, arrays)
    log.info("the tensors have the names of %s", whose)


if __name__ == "__main__":
    main()
