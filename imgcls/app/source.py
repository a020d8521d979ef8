"""Trained weights behind a path, with all that a run wrote down of them: what eval, predict and export work on."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import paddle
from omegaconf import DictConfig

from imgcls.app.channels import colour_problems
from imgcls.app.exported import merge_export
from imgcls.app.keys import DataConfig
from imgcls.app.pixels import USUAL, channels_of, chosen, resampling_of, tell, tell_channels
from imgcls.app.pretrained import tell_seen
from imgcls.app.program import given_keys
from imgcls.app.rows import rows
from imgcls.app.run_record import RunRecord, merge_record, read_record, require_modules
from imgcls.data.choices import NUMBERED
from imgcls.data.formats.class_names import read_class_map
from imgcls.data.pictures.preprocessing import Preprocessing, in_proportion
from imgcls.data.pictures.size import as_size, sides
from imgcls.deploy.contract import is_export
from imgcls.errors import UserError
from imgcls.models.bounds import at_most
from imgcls.models.registry import build_model, model_info
from imgcls.run.logs import log
from imgcls.weights.hub import is_hub_name
from imgcls.weights.load import load_pretrained
from imgcls.weights.report import LoadReport


@dataclass(frozen=True)
class Source:
    """Trained weights and all that is known of them: sections of the configuration, class names."""

    config: DictConfig
    class_names: tuple[str, ...]
    checkpoint: Path | None
    weights: str = "network"
    thresholds: tuple[float, ...] | None = None

    @property
    def multi_label(self) -> bool:
        """Whether an image has any number of classes."""
        return bool(self.config.data.get("multi_label", False))

    @property
    def activation(self) -> str:
        """What makes probabilities of its logits, one of ``ACTIVATIONS``."""
        return "sigmoid" if self.multi_label else "softmax"

    def preprocessing(self) -> Preprocessing:
        """How the network sees an image."""
        return preprocessing(self.config.transform, self.config.model)


def load_source(config: DictConfig, source: str | None, weights: str = "auto") -> Source:
    """What ``eval``, ``predict`` and ``export`` work on.

    Args:
        source: run directory, checkpoint directory, export or weights file; ``None`` for ``model.pretrained``.
        weights: ``network``, or ``ema`` for the averaged weights of a checkpoint; ``auto`` for those that
            the run chose its best checkpoint by.

    Returns:
        ``config`` with the run's own model, data and transform sections under the command line's, whose
        ``transform.resampling`` and ``model.pretrained`` are set; class names, empty when nothing records them.

    Raises:
        UserError: there is no such source, or the checkpoint is damaged.
    """
    if source and weights != "ema" and not is_hub_name(source) and is_export(source):
        result, names, own = merge_export(config, source, given_keys())
        return Source(_with_pixels(result, own), names, None)
    record = read_record(source) if source and not is_hub_name(source) else None
    if record is None:
        if weights == "ema":
            raise UserError(f"weights={weights} needs a run or a checkpoint as its source.")
        result = config.copy()
        if source:
            result.model.pretrained = str(source)
        own = resampling_of(result.model.pretrained, model_info(result.model.name))
        return Source(_with_pixels(result, own), (), None)
    given = given_keys()
    needed = own_modules(record.config, data="data" not in given and "data" in config)
    require_modules(needed, config.imports, record.checkpoint)
    _require_class_count(config, record, given)
    result = merge_record(config, record, given)
    result.data.update({key: config.data[key] for key, row in rows(DataConfig).items() if row.of_the_job})
    result.data.multi_label = record.multi_label
    own = record.config.transform.get("resampling") or USUAL
    recorded = recorded_source(record, _with_pixels(result, own), weights)
    if "data.class_map" in given and config.data.class_map:
        labels_too = "eval" in config and result.data.format in NUMBERED
        return _named(recorded, config.data.class_map, labels_too)
    return recorded


def _with_pixels(config: DictConfig, own: str) -> DictConfig:
    """With ``transform.resampling``, which it says: that of the weights where the command leaves it open."""
    if "transform" in config:
        channels = channels_of(config.transform)
        config.transform.resampling = config.transform.resampling or chosen(own, config.data.backend, channels)
        tell(config.transform.resampling, own if channels.are_usual else USUAL)
        tell_channels(config.transform)
    return config


def has_plain_names(class_names: Sequence[str]) -> bool:
    """Whether the names are the numbers, as of a run on lists without a class map."""
    return list(class_names) == [str(label) for label in range(len(class_names))]


def _require_class_count(config: DictConfig, record: RunRecord, given: list[str]) -> None:
    found = len(record.class_names)
    for section in ("model", "data"):
        key = f"{section}.num_classes"
        if key in given and config[section].num_classes not in (None, found):
            raise UserError(
                f"{key}={config[section].num_classes}: the model in {record.checkpoint} has {found} classes. "
                f"Leave {key} out."
            )


def _named(source: Source, class_map: str, labels_too: bool) -> Source:
    """The source with the names of a class map the command gives, where the run had numbers alone.

    Args:
        labels_too: the map may count other classes in another order: it says what the labels of lists mean.
    """
    names, own = read_class_map(class_map), source.class_names
    if has_plain_names(own) and len(names) == len(own):
        return replace(source, class_names=names)
    if names != own and not labels_too:
        raise UserError(
            f"data.class_map={class_map} has other classes ({', '.join(names[:5])}, ...) than the model in "
            f"{source.checkpoint} ({', '.join(own[:5])}, ...), which has its own names. Leave data.class_map out."
        )
    return source


def own_modules(config: DictConfig, data: bool = True) -> list[str]:
    """Modules of the user's own without which a run cannot be used.

    Args:
        data: its data is to be read as well.
    """
    target = config.data.get("_target_") if data else None
    return list(dict.fromkeys([*config.get("imports", ()), *([target.rpartition(".")[0]] if target else [])]))


def recorded_source(record: RunRecord, config: DictConfig, weights: str = "auto") -> Source:
    """A checkpoint as a source.

    Args:
        config: the sections to use: the record's own, or these under the command line's.

    Raises:
        UserError: the checkpoint has no such weights.
    """
    kind = record.kind_of_weights(weights)
    if kind != weights and kind == "ema":
        log.info("the averaged weights, by which the run was judged (trainer.monitor)")
    config.model.pretrained = str(record.weights(kind))
    config.model.exclude, config.model.pretrained_from = [], None
    return Source(config, tuple(record.class_names), record.checkpoint, kind, record.thresholds(kind))


def preprocessing(transform: DictConfig, model: DictConfig) -> Preprocessing:
    """How a network sees an image; the short side in the model's own proportion unless it is given.

    Raises:
        UserError: means and deviations are not those of its channels.
    """
    for problem in colour_problems(transform, model):
        raise UserError(problem)
    size, fit = as_size(transform.size), transform.get("fit") or "crop"
    in_whole = min(sides(size)) if fit != "crop" else in_proportion(size, model.input_size, model.resize_size)
    return Preprocessing(
        size=size,
        resize_size=transform.resize_size or in_whole,
        fit=fit,
        interpolation=transform.interpolation,
        resampling=transform.get("resampling") or USUAL,
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        depth=channels_of(transform).depth,
    )


def build_network(
    model: DictConfig, num_classes: int, require_all: bool = False, filled_later: bool = False
) -> paddle.nn.Layer:
    """The network with its weights.

    Args:
        require_all: for use, not for training: no tensor may be left at random values.
        filled_later: all of them will come from a checkpoint, so none are loaded here.

    Raises:
        UserError: the weights do not fit, or ``require_all`` and there are none or not all.
    """
    return network_and_report(model, num_classes, require_all, filled_later)[0]


def network_and_report(
    model: DictConfig, num_classes: int, require_all: bool = False, filled_later: bool = False
) -> tuple[paddle.nn.Layer, LoadReport]:
    """As ``build_network``, with what became of the weights' tensors."""
    with _bounds(model.pretrained) if require_all else nullcontext():
        network = build_model(model.name, num_classes=num_classes, data_format=model.data_format, **model.args)
    if filled_later:
        return network, LoadReport()
    if not model.pretrained:
        if require_all:
            raise UserError(
                f"No weights are given for {model.name}: its answers would be noise. Name a run, a checkpoint or a "
                "weights file as the source, or set model.pretrained."
            )
        log.info("%s starts from random weights", model.name)
        return network, LoadReport()
    said = model.get("pretrained_from")
    report = load_pretrained(network, model_info(model.name), model.pretrained, list(model.exclude), said)
    tell_seen(model, report.peer)
    if require_all and (report.reinitialised or report.missing or report.excluded):
        raise UserError(
            f"{model.pretrained} does not fill {model.name} with {num_classes} classes: {report.summary()}. "
            "Set model.num_classes to the weights' class count, or train first."
        )
    return network, report


def _bounds(weights: str | bool | None) -> AbstractContextManager:
    """For a network that its weights are going to fill: a parameter takes two bytes or more of their file."""
    if not str(weights).endswith(".pdparams") or not os.path.isfile(weights):
        return nullcontext()
    return at_most(os.path.getsize(weights) // 2, weights)
