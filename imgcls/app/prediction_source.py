"""What answers in ``imgcls.predict``: a network with its weights, or an export under one of its engines."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from imgcls.app import assembly
from imgcls.data.pictures.transforms import Transform
from imgcls.deploy.agreement import bundled_photos, measure_agreement
from imgcls.deploy.contract import Contract, is_export, read_contract, unrecorded_class_names
from imgcls.deploy.gpu import TensorRT
from imgcls.deploy.predictor import NetworkPredictor, Predictor, open_export
from imgcls.errors import UserError
from imgcls.machine.files import sha256
from imgcls.run.logs import log
from imgcls.weights.download import cache_directory
from imgcls.weights.source import locate_weights

ENGINE_OPTIONS = ("threads", "onednn", "bfloat16", "gpu_id", "tensorrt")


@dataclass(frozen=True)
class PredictionSource:
    """What answers, how it sees a picture, the names of its classes, and what its answers depend on."""

    predictor: Predictor
    transform: Transform
    class_names: tuple[str, ...]
    origin: dict[str, Any]


def open_source(config: DictConfig) -> PredictionSource:
    """The network or the export that ``predict.source`` names.

    Raises:
        UserError: it is missing or damaged, or cannot give what is wanted.
    """
    settings = config.predict
    is_graph = settings.source is not None and is_export(settings.source)
    if is_graph:
        return _open_export(settings)
    given = {"engine": settings.engine, **_engine_options(settings)}
    if given["engine"] in (None, "eager"):
        del given["engine"]
    if given:
        key, value = next(iter(given.items()))
        raise UserError(
            f"predict.{key}={value} is for exports. Export the model first, and name the directory as predict.source."
        )
    return _open_network(config)


def _open_export(settings: DictConfig) -> PredictionSource:
    contract = read_contract(settings.source)
    gives_features, wants_features = contract.output == "features", settings.output == "features"
    if gives_features and not wants_features:
        raise UserError(f"{settings.source} gives features, not classes. Set predict.output=features.")
    if wants_features and not gives_features:
        raise UserError(f"{settings.source} gives {contract.output}. For features, export with export.output=features.")
    options = _engine_options(settings)
    if settings.tensorrt is not None:
        options["tensorrt"] = _tensorrt(contract, settings.tensorrt, settings.batch_size)
    predictor = open_export(settings.source, settings.engine, **options)
    transform = contract.transform()
    if settings.bfloat16 and not wants_features:
        exact = open_export(settings.source, settings.engine, **{**options, "bfloat16": False})
        log.info("bfloat16: %s", measure_agreement(predictor, exact, bundled_photos(transform)))
    origin = {"model_files": list(contract.sha256.values()), "bfloat16": settings.bfloat16}
    return PredictionSource(predictor, transform, contract.class_names, origin)


def _engine_options(settings: DictConfig) -> dict[str, Any]:
    """Those that are not left at what every engine does by itself."""
    options = {key: settings[key] for key in ENGINE_OPTIONS if settings[key] is not None}
    if not settings.bfloat16:
        del options["bfloat16"]
    if settings.gpu_id is not None:
        options["gpu_mem"] = settings.gpu_mem
    return options


def _tensorrt(contract: Contract, precision: str, batch_size: int) -> TensorRT:
    digest = next(iter(contract.sha256.values()))[:16]
    cache = cache_directory() / "tensorrt" / f"{digest}-{precision}-{batch_size}"
    return TensorRT(precision=precision, batch_size=batch_size, image_shape=contract.image_shape, cache=cache)


def _open_network(config: DictConfig) -> PredictionSource:
    settings = config.predict
    source = assembly.load_source(config, settings.source, settings.weights)
    model, data, transform = source.config.model, source.config.data, source.config.transform
    class_names = source.class_names or unrecorded_class_names(data.class_map, model.num_classes or data.num_classes)
    network = assembly.build_network(model, len(class_names), require_all=True)
    weights = None if model.pretrained is True else locate_weights(model.pretrained)
    origin = {
        "model": model.name,
        "weights": sha256(weights) if weights and weights.is_file() else str(model.pretrained),
        "size": transform.size,
        "resize_size": assembly.resize_size(transform, model),
        "interpolation": transform.interpolation,
        "mean": list(transform.mean),
        "std": list(transform.std),
    }
    predictor = NetworkPredictor(network, transform.mean, transform.std)
    return PredictionSource(
        predictor, assembly.picture_transform(transform, model, training=False), class_names, origin
    )
