"""What answers in ``imgcls.predict``: a network with its weights, or an export under one of its engines."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from omegaconf import DictConfig

from imgcls.app.pixels import USUAL, Weights, chosen, resampling_of, tell
from imgcls.app.pretrained import seen_of
from imgcls.app.run_record import read_record
from imgcls.app.source import Source, build_network, load_source, recorded_source
from imgcls.data.formats.class_names import default_class_names
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.size import plain
from imgcls.deploy.agreement import bundled_photos, measure_agreement
from imgcls.deploy.contract import Contract, is_export, read_contract, unrecorded_class_names
from imgcls.deploy.fastest import Fastest
from imgcls.deploy.gpu import TensorRT
from imgcls.deploy.image_predictor import ImagePredictor
from imgcls.deploy.predictor import NetworkPredictor, Predictor, open_export
from imgcls.errors import UserError, as_shown, listed
from imgcls.machine.cache import cache_directory
from imgcls.machine.files import sha256
from imgcls.models.registry import ModelInfo, build_model, model_info
from imgcls.run.logs import log
from imgcls.weights.choices import KINDS
from imgcls.weights.hub import is_hub_name
from imgcls.weights.load import load_pretrained
from imgcls.weights.source import locate_weights

ENGINE_OPTIONS = ("threads", "mode", "model_cache", "onednn", "bfloat16", "gpu_id", "tensorrt")


@dataclass(frozen=True)
class PredictionSource:
    """What answers, how it sees a picture, the names of its classes, and what its answers depend on."""

    predictor: Predictor
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    origin: dict[str, Any]
    thresholds: tuple[float, ...] | None = None
    """From which probability each class is taken, where an image has any number of classes."""


def open_source(config: DictConfig, pictures: int) -> PredictionSource:
    """The network or the export that ``predict.source`` names.

    Args:
        pictures: how many there are to answer for.

    Raises:
        UserError: it is missing or damaged, or cannot give what is wanted.
    """
    settings = config.predict
    is_graph = settings.source is not None and is_export(settings.source)
    if is_graph:
        return _open_export(settings, pictures)
    given = {"engine": settings.engine, **_engine_options(settings)}
    if given["engine"] in (None, "eager"):
        del given["engine"]
    if given:
        key, value = next(iter(given.items()))
        raise UserError(
            f"predict.{key}={value} is for exports. Export the model first, and name the directory as predict.source."
        )
    return _open_network(config)


def open_predictor(
    source: str | Path,
    *,
    model: str | None = None,
    weights: str = "auto",
    engine: str | None = None,
    class_names: Sequence[str] | None = None,
    **options: Any,
) -> ImagePredictor:
    """See ``imgcls.load_predictor``."""
    class_names = _names(class_names)
    if weights not in KINDS:
        raise UserError(f"weights={weights!r}: must be one of {', '.join(KINDS)}.")
    if is_export(source):
        _refuse_for("an export", model=model, class_names=class_names)
        predictor = open_export(source, engine, **options)
        contract = predictor.contract
        return ImagePredictor(
            predictor, contract.preprocessing, contract.class_names, thresholds=_thresholds_of(contract)
        )
    if engine not in (None, "eager") or options:
        given = ", ".join(options) if engine in (None, "eager") else f"engine={engine}"
        raise UserError(f"{given}: this is for exports. Export the model first, and name the directory as source.")
    record = read_record(source) if not is_hub_name(source) and Path(source).exists() else None
    if record is not None:
        _refuse_for("a run or a checkpoint", model=model, class_names=class_names)
        recorded = recorded_source(record, record.config, weights)
        network = build_network(recorded.config.model, len(recorded.class_names), require_all=True)
        seen, names = recorded.preprocessing(), recorded.class_names
        predictor = NetworkPredictor(network, seen, recorded.activation)
        return ImagePredictor(predictor, seen, names, thresholds=_thresholds_of(recorded))
    network, seen, names = _open_model(source, model, class_names)
    return ImagePredictor(NetworkPredictor(network, seen), seen, names)


def _names(given: Any) -> tuple[str, ...] | None:
    """Names of classes as they were given in Python.

    Raises:
        UserError: they are no list of texts, but a mapping for one, or a set, which has no order.
    """
    if given is None:
        return None
    is_list = isinstance(given, Iterable) and not isinstance(given, bytes | Mapping | Set)
    names = tuple(given) if is_list else ()
    if not is_list or not all(isinstance(name, str) for name in names):
        shown = listed(map(repr, names), 3) if is_list else as_shown(given)
        raise UserError(f"class_names={shown}: give a list of texts, one for each class in the order of their numbers.")
    return names


def _thresholds_of(known: Source | Contract) -> tuple[float, ...] | None:
    """Those that were tuned, or 0.5 for each class; ``None`` where an image has one class."""
    if known.activation == "softmax":
        return None
    return known.thresholds or (0.5,) * len(known.class_names)


def known_preprocessing(source: str | Path) -> Preprocessing:
    """See ``imgcls.preprocessing``."""
    if is_export(source):
        return read_contract(source).preprocessing
    if Path(source).exists():
        record = read_record(source)
        if record is None:
            raise UserError(f"{source} does not say how its network sees an image. Name the model instead.")
        return Source(record.config, (), None).preprocessing()
    info = _model_named(source)
    return _seen(info, True)


def _open_model(
    source: str | Path, model: str | None, class_names: Sequence[str] | None
) -> tuple[paddle.nn.Layer, Preprocessing, tuple[str, ...]]:
    """A model by name with its published weights, or a file of weights for the architecture ``model``."""
    is_file = is_hub_name(source) or Path(source).exists()
    if is_file and model is None:
        raise UserError(f"{source} holds weights alone: name the network they are for, model=<name>.")
    info = model_info(model) if is_file else _model_named(source)
    names = tuple(class_names) if class_names is not None else default_class_names(1000)
    network = build_model(info.name, num_classes=len(names))
    report = load_pretrained(network, info, str(source) if is_file else True)
    if report.reinitialised:
        raise UserError(f"{source} has another class count than {len(names)}: give class_names, one for each class.")
    return network, _seen(info, str(source) if is_file else True), names


def _seen(info: ModelInfo, weights: Weights) -> Preprocessing:
    """How a model is shown images with these weights, which no run recorded: as what is written beside them says."""
    own = resampling_of(weights, info)
    resampling = chosen(own)
    if resampling != own:
        tell(resampling, own)
    beside = seen_of(weights, None)
    seen = Preprocessing.of_model(info, beside.size if beside else None)
    facts = {key: getattr(beside, key, None) for key in ("resize_size", "interpolation", "mean", "std")}
    return replace(seen, resampling=resampling, **{key: value for key, value in facts.items() if value is not None})


def _model_named(source: str | Path) -> ModelInfo:
    try:
        return model_info(str(source))
    except UserError as error:
        raise UserError(f"There is no run, export or file at {Path(source).absolute()}. {error}") from error


def _refuse_for(what: str, **arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise UserError(f"{name}={value} is not for {what}. Leave it out.")


def _open_export(settings: DictConfig, pictures: int) -> PredictionSource:
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
    if isinstance(predictor.run, Fastest):  # now, while nothing else is at work
        predictor.run.choose(predictor.network_input(_any_images(contract, min(settings.batch_size, pictures))))
    if settings.bfloat16 and not wants_features:
        exact = open_export(settings.source, settings.engine, **{**options, "bfloat16": False})
        log.info("bfloat16: %s", measure_agreement(predictor, exact, bundled_photos(contract.preprocessing)))
    origin = {"model_files": list(contract.sha256.values()), "bfloat16": settings.bfloat16}
    thresholds = _thresholds_of(contract)
    return PredictionSource(predictor, contract.preprocessing, contract.class_names, origin, thresholds)


def _engine_options(settings: DictConfig) -> dict[str, Any]:
    """Those that are not left at what every engine does by itself."""
    options = {key: settings[key] for key in ENGINE_OPTIONS if settings[key] is not None}
    for switch in ("bfloat16", "model_cache"):
        if not settings[switch]:
            del options[switch]
    if settings.model_cache:
        options["model_cache"] = cache_directory() / "openvino"
    if settings.gpu_id is not None:
        options["gpu_mem"] = settings.gpu_mem
    return options


def _any_images(contract: Contract, count: int) -> np.ndarray:
    seen = contract.preprocessing
    images = np.random.default_rng(0).integers(0, 256, (count, *seen.image_shape), np.uint8)
    return images.astype(seen.channels.dtype, copy=False)


def _tensorrt(contract: Contract, precision: str, batch_size: int) -> TensorRT:
    digest = next(iter(contract.sha256.values()))[:16]
    cache = cache_directory() / "tensorrt" / f"{digest}-{precision}-{batch_size}"
    return TensorRT(precision=precision, batch_size=batch_size, image_shape=contract.image_shape, cache=cache)


def _open_network(config: DictConfig) -> PredictionSource:
    settings = config.predict
    source = load_source(config, settings.source, settings.weights)
    model, data, seen = source.config.model, source.config.data, source.preprocessing()
    class_names = source.class_names or unrecorded_class_names(data.class_map, model.num_classes or data.num_classes)
    network = build_network(model, len(class_names), require_all=True)
    weights = None if model.pretrained is True else locate_weights(model.pretrained)
    origin = {
        "model": model.name,
        "weights": sha256(weights) if weights and weights.is_file() else str(model.pretrained),
        "size": plain(seen.size),
        **({"fit": seen.fit} if seen.fit != "crop" else {}),
        "resize_size": seen.resize_size,
        "interpolation": seen.interpolation,
        **({"resampling": seen.resampling} if seen.resampling != USUAL else {}),
        "mean": list(seen.mean),
        "std": list(seen.std),
        **({} if seen.channels.are_usual else {"depth": seen.channels.depth}),
    }
    predictor = NetworkPredictor(network, seen, source.activation)
    thresholds = _thresholds_of(replace(source, class_names=tuple(class_names)))
    return PredictionSource(predictor, seen, class_names, origin, thresholds)
