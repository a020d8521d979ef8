"""``python -m imgcls.export``: write a trained network as files that run without this library."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import DictConfig

from imgcls import __version__
from imgcls.config import entry_point
from imgcls.installation import require_paddle
from imgcls.logs import log, start_log

CHECKED_PHOTOS = 4


@entry_point("export")
def main(config: DictConfig) -> None:
    require_paddle()
    import paddle

    from imgcls import assembly
    from imgcls.deploy.contract import LAYOUTS, Contract
    from imgcls.deploy.exporter import export, require_replaceable
    from imgcls.device import select_device
    from imgcls.engine.checkpoint import verify

    settings = config.export
    start_log()
    select_device(0)
    directory = Path(settings.dir or assembly.output_directory())
    require_replaceable(directory)
    source = assembly.load_source(config, settings.source, settings.weights)
    if source.checkpoint:
        verify(source.checkpoint)
    class_names = source.class_names or _class_names(source.config)
    network = assembly.build_network(source.config.model, len(class_names), require_all=True)

    transform = source.config.transform
    contract = Contract(
        model=source.config.model.name,
        input=settings.input,
        layout=LAYOUTS[settings.input],
        image_size=transform.size,
        resize_size=assembly.resize_size(transform, source.config.model),
        interpolation=transform.interpolation,
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        output="probabilities" if settings.input == "uint8" else "logits",
        class_names=class_names,
        versions={"imgcls": __version__, "paddle": paddle.__version__},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        **_provenance(source.config.model.pretrained),
    )
    differences = export(network, contract, directory, _photos(contract) if settings.check else None)
    for engine, difference in differences.items():
        log.info("largest difference from the network under %s: %.2g", engine, difference)
    log.info("export: %s", directory)
    if settings.dir:
        with contextlib.suppress(OSError):  # Hydra's directory of this job; nothing went there
            assembly.output_directory().rmdir()


def _class_names(config: DictConfig) -> tuple[str, ...]:
    """Of weights that do not record them: from the class map, or the defaults for their number."""
    from imgcls.data.class_names import default_class_names, read_class_map

    if config.data.class_map:
        return read_class_map(config.data.class_map)
    return default_class_names(config.model.num_classes or config.data.num_classes or 1000)


def _provenance(pretrained: str | bool) -> dict[str, str | None]:
    from imgcls.deploy.contract import sha256
    from imgcls.weights.source import locate_weights

    if pretrained is True:
        return {"source": "the library's own weights"}
    path = locate_weights(pretrained)
    return {"source": str(path), "source_sha256": sha256(path) if path.is_file() else None}


def _photos(contract):
    """Some of the bundled photos as the network sees them, uint8 ``[N, size, size, 3]``."""
    import numpy as np

    from imgcls.data.build import SAMPLE_PHOTOS
    from imgcls.data.decode import decode_image
    from imgcls.data.transforms import eval_transform

    transform = eval_transform(contract.image_size, contract.resize_size, contract.interpolation)
    paths = sorted((SAMPLE_PHOTOS / "val" / "land_animal").glob("*.jpg"))[:CHECKED_PHOTOS]
    return np.stack([transform(decode_image(path), np.random.default_rng(0)) for path in paths])


if __name__ == "__main__":
    main()
