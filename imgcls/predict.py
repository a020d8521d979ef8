"""``python -m imgcls.predict``: what is in these pictures."""

from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig

from imgcls.config import entry_point
from imgcls.errors import UserError
from imgcls.installation import require_paddle
from imgcls.logs import log, start_log

if TYPE_CHECKING:
    from imgcls.data.transforms import Transform
    from imgcls.deploy.predictor import Predictor

TOPK = 5
SHOWN_ERRORS = 10


@entry_point("predict")
def main(config: DictConfig) -> None:
    require_paddle()
    from tqdm import tqdm

    from imgcls import assembly
    from imgcls.data.paths import bullet_list
    from imgcls.deploy.contract import is_export
    from imgcls.deploy.inputs import find_pictures
    from imgcls.deploy.reader import picture_reader, read_batches
    from imgcls.deploy.results import predict_classes, print_table, write_features, write_records
    from imgcls.device import select_device

    settings = config.predict
    start_log()
    select_device(None)
    pictures = find_pictures(list(settings.input) if isinstance(settings.input, ListConfig) else str(settings.input))
    from_export = settings.source is not None and is_export(settings.source)
    predictor, transform, class_names = _open_export(config) if from_export else _open_network(config)
    topk = settings.topk or min(TOPK, len(class_names))
    if topk > len(class_names):
        raise UserError(f"predict.topk={topk}: there are only {len(class_names)} classes.")

    def report(path: str, error: UserError) -> None:
        log.warning("%s", error)
        unreadable.append(str(error))

    unreadable: list[str] = []
    with_bar = tqdm(pictures, unit=" pictures", leave=False, disable=None)  # on terminals only
    read = picture_reader(transform, config.data.max_pixels)
    batches = read_batches(with_bar, read, settings.batch_size, settings.num_workers, report)
    directory = assembly.output_directory()
    if settings.output == "features":
        file = directory / "features.npz"
        count = write_features(batches, predictor, file)
    else:
        file = directory / "predictions.jsonl"
        records = predict_classes(batches, predictor, class_names, topk)
        count, first = write_records(records, file)
        print_table(first, count)
    log.info("%s of %s pictures: %s", f"{count:,}", f"{len(pictures):,}", file)
    if unreadable:
        raise UserError(
            f"{len(unreadable):,} of {len(pictures):,} pictures could not be read:\n"
            f"{bullet_list(unreadable[:SHOWN_ERRORS], len(unreadable))}"
        )


def _open_export(config: DictConfig) -> "tuple[Predictor, Transform, tuple[str, ...]]":
    from imgcls.deploy.predictor import open_export

    predictor = open_export(config.predict.source, config.predict.engine or "inference")
    return predictor, predictor.contract.transform(), predictor.contract.class_names


def _open_network(config: DictConfig) -> "tuple[Predictor, Transform, tuple[str, ...]]":
    from imgcls import assembly
    from imgcls.deploy.contract import unrecorded_class_names
    from imgcls.deploy.predictor import NetworkPredictor

    settings = config.predict
    source = assembly.load_source(config, settings.source, settings.weights)
    if settings.engine not in (None, "eager"):
        raise UserError(
            f"predict.engine={settings.engine} is for exports. Export the model first, and name the directory as "
            "predict.source."
        )
    model, data, transform = source.config.model, source.config.data, source.config.transform
    class_names = source.class_names or unrecorded_class_names(data.class_map, model.num_classes or data.num_classes)
    network = assembly.build_network(model, len(class_names), require_all=True)
    predictor = NetworkPredictor(network, transform.mean, transform.std)
    return predictor, assembly.picture_transform(transform, model, training=False), class_names


if __name__ == "__main__":
    main()
