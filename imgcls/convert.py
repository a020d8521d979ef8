"""``python -m imgcls.convert``: weights of one format into another."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from imgcls.app.program import entry_point
from imgcls.errors import UserError
from imgcls.machine.files import atomic_write
from imgcls.machine.installation import require_paddle
from imgcls.run.lock import held
from imgcls.run.logs import log, start_log

if TYPE_CHECKING:
    import paddle

    from imgcls.weights.source import Weights


@entry_point("convert")
def main(config: DictConfig) -> None:
    settings, model = config.convert, config.model
    output = Path(settings.output)
    _require_absent(output)
    require_paddle()
    from imgcls.models.registry import build_model
    from imgcls.weights.fluid.training import select_averaged
    from imgcls.weights.load import load_into
    from imgcls.weights.source import locate_weights, read_weights

    start_log()
    arrays, naming = weights = read_weights(locate_weights(settings.source))
    if settings.weights == "averaged":
        arrays = select_averaged(arrays)
    num_classes = model.num_classes or _class_count(model, weights)
    network = build_model(model.name, num_classes=num_classes, **model.args)
    report = load_into(network, arrays, naming, list(model.exclude), source=str(settings.source))
    if report.reinitialised:
        raise UserError(
            f"{settings.source} has another class count than {num_classes}: {report.summary()}. "
            "Leave model.num_classes out to take the weights' own."
        )
    log.info(report.summary())
    if settings.fuse:
        network = _fused(network, model.name)
    beside = output.absolute().with_name(f".{output.name}.lock")
    with held(output, beside, "convert.output"):
        _require_absent(output)
        _write(network, output)
    log.info("%s with %d classes: %s", model.name, num_classes, output)


def _require_absent(output: Path) -> None:
    if output.exists():
        raise UserError(f"convert.output={output} exists already; choose another name or remove it.")


def _class_count(model: DictConfig, weights: "Weights") -> int:
    """How many classes the stored last layer has, whichever way it is named; 1000 when it is not there."""
    import paddle

    from imgcls.models.layers import fluid_names
    from imgcls.models.registry import build_model

    with paddle.LazyGuard():
        network = build_model(model.name, **model.args)
    for name in ("head.bias", fluid_names(network).get("head.bias")):
        if name in weights.arrays:
            return len(weights.arrays[name])
    return 1000


def _fused(network: "paddle.nn.Layer", name: str) -> "paddle.nn.Layer":
    if not hasattr(network, "to_deploy"):
        raise UserError(f"convert.fuse is for the ACNet models; {name} has nothing to fuse.")
    return network.to_deploy()


def _write(network: "paddle.nn.Layer", output: Path) -> None:
    """A ``.pdparams`` file, or a fluid directory; whole or absent."""
    import paddle

    from imgcls.weights.fluid.files import write_directory

    state = network.state_dict()
    if output.suffix != ".pdparams":
        write_directory(output, {tensor.name: tensor.numpy() for tensor in state.values()})
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output) as partial:
        paddle.save(state, str(partial))


if __name__ == "__main__":
    main()
