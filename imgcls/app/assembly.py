"""From sections of a configuration to objects: the data, the network and the callbacks of a program."""

import json
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import paddle
from omegaconf import DictConfig, OmegaConf

from imgcls.app.keys import DataConfig
from imgcls.app.program import output_directory as output_directory
from imgcls.app.resume import config_hash
from imgcls.app.rows import rows
from imgcls.app.run_record import adopt, read_recorded
from imgcls.callbacks.checkpoint import Checkpoint
from imgcls.callbacks.evaluation import Evaluation
from imgcls.callbacks.history import History
from imgcls.callbacks.logger import TensorBoard
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.callbacks.max_steps import MaxSteps
from imgcls.callbacks.nan_guard import NanGuard
from imgcls.callbacks.preemption import Preemption
from imgcls.callbacks.profiler import Profiler
from imgcls.callbacks.progress import ProgressBar
from imgcls.callbacks.same_batch import SameBatch
from imgcls.callbacks.start_up import StartUp
from imgcls.data.formats.build import build_samples
from imgcls.data.formats.samples import Samples
from imgcls.data.loading.bad_files import BadFiles
from imgcls.data.loading.cache import RamCache
from imgcls.data.loading.dali import DaliLoader
from imgcls.data.loading.dataset import ImageDataset
from imgcls.data.loading.loader import build_loader
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.synthetic import SyntheticDataset
from imgcls.data.pictures.transforms import Transform, eval_transform, train_transform
from imgcls.engine.callback import Callback
from imgcls.engine.ranks import current as current_ranks
from imgcls.engine.trainer import Trainer
from imgcls.errors import UserError
from imgcls.functional.normalize import normalize
from imgcls.models.registry import build_model, model_info
from imgcls.run.checkpoint import verify
from imgcls.run.directory import Run
from imgcls.run.logs import log, system_line
from imgcls.weights.load import load_pretrained

FEATURES = {
    "random_erasing": "RandomErasing",
    "cutmix": "CutMix",
    "mixup": "Mixup",
    "label_smoothing": "LabelSmoothing",
    "ema": "EMA",
}
"""Optional callbacks in the order they see a batch: the key below ``callbacks`` and module name, and the class."""


def read_samples(
    data: DictConfig, split: str, num_classes: int | None, class_names: tuple[str, ...] | None = None
) -> Samples:
    """The list of pictures and labels of one split, checked.

    Args:
        num_classes: what the data must have, if that is known.
        class_names: names the data must have, in order of the label.
    """
    return build_samples(
        data.format,
        root=data.root,
        train_list=data.train_list,
        val_list=data.val_list,
        class_map=data.class_map,
        num_classes=num_classes or data.num_classes,
        split=split,
        class_names=class_names,
        check_files=data.check_files,
        allow_empty_classes=data.allow_empty_classes,
        num_samples=(data.train_size if split == "train" else data.val_size) or 0,
    )


def picture_transform(transform: DictConfig, model: DictConfig, training: bool) -> Transform:
    """From a decoded picture to uint8 ``[size, size, 3]``."""
    if training:
        return train_transform(
            size=transform.size,
            scale=tuple(transform.scale),
            ratio=tuple(transform.ratio),
            interpolation=transform.interpolation,
            flip=transform.flip,
            rotation=transform.rotation,
            color_jitter=tuple(transform.color_jitter),
            autoaugment=transform.autoaugment or None,
            randaugment=(transform.randaugment.num_layers, transform.randaugment.magnitude),
        )
    return eval_transform(transform.size, resize_size(transform, model), transform.interpolation)


def resize_size(transform: DictConfig, model: DictConfig) -> int:
    """Short side before the centre crop; in the model's own proportion unless it is given."""
    return transform.resize_size or round(transform.size * model.resize_size / model.input_size)


def make_loader(
    samples: Samples,
    transform: Transform,
    data: DictConfig,
    *,
    size: int,
    batch_size: int,
    num_workers: int,
    seed: int = 0,
    shuffle: bool = False,
    directory: Path | None = None,
) -> paddle.io.DataLoader | DaliLoader:
    """Batches of this rank: uint8 images ``[N, H, W, 3]``, labels and sample numbers.

    Args:
        transform: of pictures from files; synthetic ones are made in the right ``size``.
        batch_size: over all ranks.
        shuffle: for training: a new order each epoch, and a batch for every rank at every step.
        directory: where ``bad_files.txt`` goes when files that cannot be read are skipped.

    Raises:
        UserError: the ranks cannot have equal shares of a batch for training.
    """
    ranks = current_ranks()
    if shuffle and batch_size % ranks.count:
        raise UserError(
            f"trainer.batch_size={batch_size} is shared by {ranks.count} processes: it must be a multiple of "
            f"{ranks.count}."
        )
    if data.format == "synthetic":
        dataset = SyntheticDataset(samples, size, seed=seed + (not shuffle))  # other pictures for validation
    else:
        held = RamCache(samples, transform.decode, data.cache_mb, data.max_pixels) if data.cache == "ram" else None
        dataset = ImageDataset(samples, transform, seed=seed, max_pixels=data.max_pixels, cache=held)
    sampler = EpochSampler(
        len(samples),
        batch_size=max(1, batch_size // ranks.count),
        rank=ranks.rank,
        ranks=ranks.count,
        shuffle=shuffle,
        seed=seed,
        pad=shuffle,
    )
    if data.backend == "dali" and data.format != "synthetic":
        place = paddle.device.get_device()
        gpu = int(place.removeprefix("gpu:")) if place.startswith("gpu:") else None
        return DaliLoader(dataset, sampler, num_threads=num_workers, timeout=data.worker_timeout, device_id=gpu)
    list_file = directory / "bad_files.txt" if directory else None
    bad_files = BadFiles(data.max_errors, list_file) if data.on_error == "skip" else None
    return build_loader(dataset, sampler, num_workers, timeout=data.worker_timeout, bad_files=bad_files)


def build_network(model: DictConfig, num_classes: int, require_all: bool = False) -> paddle.nn.Layer:
    """The network with its weights.

    Args:
        require_all: for use, not for training: no tensor may be left at random values.

    Raises:
        UserError: the weights do not fit, or ``require_all`` and there are none or not all.
    """
    network = build_model(model.name, num_classes=num_classes, data_format=model.data_format, **model.args)
    if not model.pretrained:
        if require_all:
            raise UserError(
                f"No weights are given for {model.name}: its answers would be noise. Name a run, a checkpoint or a "
                "weights file as the source, or set model.pretrained."
            )
        log.info("%s starts from random weights", model.name)
        return network
    report = load_pretrained(network, model_info(model.name), model.pretrained, exclude=list(model.exclude))
    if require_all and (report.reinitialised or report.missing or report.excluded):
        raise UserError(
            f"{model.pretrained} does not fill {model.name} with {num_classes} classes: {report.summary()}. "
            "Set model.num_classes to the weights' class count, or train first."
        )
    return network


@dataclass(frozen=True)
class Source:
    """Trained weights and all that is known of them: sections of the configuration, class names."""

    config: DictConfig
    class_names: tuple[str, ...]
    checkpoint: Path | None


def load_source(config: DictConfig, source: str | None, weights: str = "network") -> Source:
    """What ``eval``, ``predict`` and ``export`` work on.

    Args:
        source: run directory, checkpoint directory or weights file; ``None`` for ``model.pretrained``.
        weights: ``network``, or ``ema`` for the averaged weights of a checkpoint.

    Returns:
        ``config`` with the run's own model, data and transform sections under the command line's,
        and ``model.pretrained`` naming the weights; class names, empty when nothing records them.

    Raises:
        UserError: there is no such source, or the checkpoint is damaged.
    """
    recorded = read_recorded(source) if source else None
    if recorded is None:
        if weights != "network":
            raise UserError(f"weights={weights} needs a run or a checkpoint as its source.")
        result = config.copy()
        if source:
            result.model.pretrained = str(source)
        return Source(result, (), None)
    verify(recorded.checkpoint)
    file = recorded.checkpoint / f"{weights}.pdparams"
    if not file.is_file():
        raise UserError(f"{recorded.checkpoint} has no {weights} weights: the run did not keep an average.")
    result = adopt(config, recorded)
    result.data.update({key: config.data[key] for key, row in rows(DataConfig).items() if row.of_the_job})
    result.model.pretrained = str(file)
    result.model.exclude = []
    return Source(result, tuple(recorded.class_names), recorded.checkpoint)


def require_same_classes(samples: Samples, class_names: tuple[str, ...]) -> None:
    """Refuse data whose classes are not those the weights were trained on (if those are known).

    Raises:
        UserError: naming both.
    """
    if class_names and tuple(samples.class_names) != class_names:
        raise UserError(
            f"The data has {samples.num_classes} classes ({', '.join(samples.class_names[:5])}, ...), the model was "
            f"trained on {len(class_names)} ({', '.join(class_names[:5])}, ...). Evaluate on data of the same classes."
        )


def without(section: DictConfig, *keys: str) -> dict[str, Any]:
    """A section as keyword arguments, but for some keys."""
    return {str(key): value for key, value in section.items() if key not in keys}


def learning_rate(optimizer: DictConfig, batch_size: int) -> float:
    """``optimizer.lr``, in proportion to the batch over all devices if it is to be."""
    if not optimizer.scale_lr:
        return optimizer.lr
    lr = optimizer.lr * batch_size / optimizer.base_batch_size
    log.info(
        "learning rate %g = optimizer.lr %g x batch of %d / base batch of %d",
        *(lr, optimizer.lr, batch_size, optimizer.base_batch_size),
    )
    return lr


def preprocessing(transform: DictConfig):
    """From a loader's images to the network's input, on the device."""
    return partial(normalize, mean=tuple(transform.mean), std=tuple(transform.std))


def optional_callbacks(callbacks: DictConfig) -> list[Callback]:
    """The features that are switched on, and the user's own callbacks after them."""
    enabled = []
    for key, class_name in FEATURES.items():
        options = dict(callbacks.get(key) or {"enabled": False})
        if options.pop("enabled"):
            enabled.append(getattr(import_module(f"imgcls.callbacks.{key}"), class_name)(**options))
    return [*enabled, *(_own_callback(OmegaConf.to_container(entry)) for entry in callbacks.extra)]


def _own_callback(entry: dict[str, Any]) -> Callback:
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        callback = instantiate(entry)
    except InstantiationException as error:
        raise UserError(f"callbacks.extra: {str(error).splitlines()[0]}") from error
    if not isinstance(callback, Callback):
        raise UserError(f"callbacks.extra: {entry.get('_target_')} is no imgcls.engine.callback.Callback.")
    return callback


def training_callbacks(
    config: DictConfig, run: Run, val_loader: paddle.io.DataLoader, texts: dict[str, str]
) -> list[Callback]:
    """All callbacks of a training run, in the order of their events; only rank 0 shows and notes what happens."""
    settings, first = config.trainer, current_ranks().first
    same = [SameBatch(settings.same_batch)] if settings.same_batch else []
    guard = [NanGuard(settings.log_every, settings.amp.max_skipped)] if config.callbacks.nan_guard.enabled else []
    limit = [MaxSteps(settings.max_steps)] if settings.max_steps else []
    evaluation = [Evaluation(val_loader, every=settings.eval_every, topk=tuple(settings.topk))]
    if settings.profiler.enabled:
        options = without(settings.profiler, "enabled")
        limit, evaluation = [*limit, Profiler(run.path / "profile" if first else None, **options)], []
    shown = [StartUp(), History(run.path), ProgressBar(every=settings.log_every)] if first else []
    if first and config.logger.name == "tensorboard":
        about = system_line(config_hash(config))
        shown.append(TensorBoard(run.path / "tensorboard", every=settings.log_every, about=about))
    return [
        *same,
        *optional_callbacks(config.callbacks),
        LRSchedule(),
        *guard,
        *limit,
        *evaluation,
        *shown,
        Checkpoint(
            run.checkpoints,
            every=settings.save_every,
            every_steps=settings.save_every_steps,
            keep=settings.keep_checkpoints,
            monitor=settings.monitor,
            extra=texts,
        ),
        Preemption(f"the same command with run.name={run.path.name} trainer.resume=auto"),
    ]


def finish(run: Run, trainer: Trainer, monitor: str) -> float | None:
    """Write ``summary.json``, say where everything is, and return the best value of ``monitor``."""
    history = next(callback for callback in trainer.callbacks if isinstance(callback, History))
    evaluated = [row for row in history.rows if f"val_{monitor}" in row]
    best = max(evaluated, key=lambda row: row[f"val_{monitor}"], default={})
    metrics = {name.removeprefix("val_"): value for name, value in best.items() if name.startswith("val_")}
    summary = {"best": {**metrics, "epoch": best.get("epoch")}, "epochs": trainer.progress.epoch}
    (run.path / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    if best:
        log.info("best %s %.4f in epoch %s", monitor, metrics[monitor], best["epoch"])
    log.info("curves: %s", run.path / "curves.png")
    log.info("model: %s", run.checkpoints / ("best" if (run.checkpoints / "best").exists() else "last"))
    return metrics.get(monitor)
