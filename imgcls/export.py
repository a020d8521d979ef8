"""``python -m imgcls.export``: write a trained network as files that run without this library."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from imgcls import __version__
from imgcls.app.program import entry_point, output_directory
from imgcls.errors import UserError
from imgcls.machine.files import sha256
from imgcls.machine.installation import require_paddle
from imgcls.run.logs import log, start_log

if TYPE_CHECKING:
    from imgcls.app.source import Source
    from imgcls.deploy.contract import Contract


@entry_point("export")
def main(config: DictConfig) -> None:
    from imgcls.deploy.contract import read_contract, require_replaceable, unrecorded_class_names

    settings = config.export
    directory = Path(settings.dir or output_directory())
    require_replaceable(directory)
    require_paddle()
    from imgcls.app.source import build_network, load_source
    from imgcls.deploy.exporter import check_photos, export
    from imgcls.machine.device import select_device

    start_log()
    select_device(0)
    source = load_source(config, settings.source, settings.weights)
    model, data = source.config.model, source.config.data
    class_names = source.class_names or unrecorded_class_names(data.class_map, model.num_classes or data.num_classes)
    network = build_network(model, len(class_names), require_all=True)
    if settings.fuse and hasattr(network, "to_deploy") and not network.deploy:
        network = network.to_deploy()
    contract = _contract(source, settings, class_names)
    seen = contract.preprocessing
    if settings.quantize and not seen.channels.are_usual:
        raise UserError(f"export.quantize is for RGB of 8 bits, not for {seen.channels}. Leave it out.")
    if seen.depth != source.preprocessing().depth:
        log.warning("export.input=uint8 takes 8 bits of a channel; pictures of 16 keep them with export.input=float.")
    images = check_photos(contract) if settings.check else None
    with _quantizer(source, settings, len(class_names)) as quantize:
        differences = export(network, contract, directory, images, settings.format, quantize)
    for engine, difference in differences.items():
        log.info("largest difference from the network under %s: %.2g", engine, difference)
    if settings.quantize:
        _tell(read_contract(directory).quantization)
    log.info("export: %s", directory)


@contextmanager
def _quantizer(source: "Source", settings: DictConfig, classes: int) -> Iterator[Callable | None]:
    """What makes an export's float files into int8 ones, if that is wanted; its pictures are read now."""
    if not settings.quantize:
        yield None
        return
    from imgcls.app.program import given_keys

    if source.multi_label:
        raise UserError("export.quantize compares best classes: not with several classes a picture.")
    from imgcls.app.quantization import quantization_images
    from imgcls.deploy.int8 import quantize

    with quantization_images(source, settings, classes, given_keys()) as (calibration, validation):
        log.info("int8: calibrated on %d pictures, measured on %d", len(calibration), len(validation))
        yield lambda directory, contract: quantize(directory, contract, calibration, validation, settings.max_drop)


def _tell(cost: Mapping[str, Any]) -> None:
    log.info(
        "int8: %d of %d layers; %s of right answers on %d pictures, %s in float; %s have the same best class, and "
        "probabilities change by up to %s",
        *(
            cost[key]
            for key in ("layers", "of_layers", "int8", "pictures", "float", "same_class", "largest_difference")
        ),
    )


def _contract(source: "Source", settings: DictConfig, class_names: tuple[str, ...]) -> "Contract":
    import paddle

    from imgcls.deploy.contract import Contract
    from imgcls.weights.source import locate_weights

    model, seen = source.config.model, source.preprocessing()
    output = settings.output or ("probabilities" if settings.input == "uint8" else "logits")
    weights = None if model.pretrained is True else locate_weights(model.pretrained)
    return Contract(
        model=model.name,
        input=settings.input,
        preprocessing=replace(seen, depth=8) if settings.input == "uint8" else seen,
        output=output,
        dynamic_size=settings.dynamic_size,
        source=str(weights or "the library's own weights"),
        source_sha256=sha256(weights) if weights and weights.is_file() else None,
        versions={"imgcls": __version__, "paddle": paddle.__version__},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        class_names=() if output == "features" else class_names,
        activation="softmax" if output == "features" else source.activation,
        thresholds=None if output == "features" else source.thresholds,
    )


if __name__ == "__main__":
    main()
