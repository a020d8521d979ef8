"""The one ordered list of callbacks of a training run."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imgcls.app.loggers import make_logger
from imgcls.app.resume import JOB, config_hash, resume_command
from imgcls.callbacks.checkpoint import Checkpoint
from imgcls.callbacks.early_stopping import EarlyStopping
from imgcls.callbacks.evaluation import Evaluation
from imgcls.callbacks.history import History
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.callbacks.max_steps import MaxSteps
from imgcls.callbacks.nan_guard import NanGuard
from imgcls.callbacks.plateau import Plateau
from imgcls.callbacks.preemption import Preemption
from imgcls.callbacks.profiler import Profiler
from imgcls.callbacks.progress import ProgressBar
from imgcls.callbacks.pruning import Pruning
from imgcls.callbacks.same_batch import SameBatch
from imgcls.callbacks.start_up import StartUp
from imgcls.data.loading.loader import Loader
from imgcls.engine.callback import Callback
from imgcls.engine.meters import EvaluationMeter, PerClassMeter, TagMeter
from imgcls.engine.ranks import current as current_ranks
from imgcls.errors import UserError
from imgcls.functional.monitoring import requested, telling
from imgcls.functional.schedules import WAITING
from imgcls.run.checkpoint import THRESHOLDS, Writer
from imgcls.run.directory import Run
from imgcls.run.logs import system_line

FEATURES = {
    "random_erasing": "RandomErasing",
    "cutmix": "CutMix",
    "mixup": "Mixup",
    "label_smoothing": "LabelSmoothing",
    "ema": "EMA",
}
"""Optional callbacks in the order they see a batch: the key below ``callbacks`` and module name, and the class."""


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
        raise UserError(f"callbacks.extra: {entry.get('_target_')} is no imgcls.Callback.")
    return callback


def _meter_maker(
    settings: DictConfig, class_names: Sequence[str], multi_label: bool, num_samples: int
) -> Callable[[], EvaluationMeter]:
    metrics = requested(settings.metrics, settings.monitor, class_names, multi_label)
    if multi_label:
        return partial(TagMeter, num_samples, class_names, metrics)
    topk = telling(settings.topk, len(class_names))
    return partial(PerClassMeter, topk, metrics, class_names) if metrics else partial(EvaluationMeter, topk)


def training_callbacks(
    config: DictConfig,
    features: Sequence[Callback],
    run: Run,
    val_loader: Loader | None,
    class_names: Sequence[str],
    texts: dict[str, str],
    writers: dict[str, Writer],
    drops: list[int],
) -> list[Callback]:
    """All callbacks of a training run, in the order of their events; only rank 0 shows and notes what happens.

    Args:
        features: those of ``optional_callbacks``.
        val_loader: ``None`` where nothing is evaluated.
        texts: kept in each checkpoint, content by name.
        writers: of more files in each checkpoint, by name.
        drops: of the learning rate, which the schedule ``plateau`` was made with.
    """
    settings, first = config.trainer, current_ranks().first
    same = [SameBatch(settings.same_batch)] if settings.same_batch else []
    guard = [NanGuard(settings.log_every, settings.amp.max_skipped)] if config.callbacks.nan_guard.enabled else []
    limit = [MaxSteps(settings.max_steps)] if settings.max_steps else []
    monitored = {"monitor": settings.monitor, "mode": settings.monitor_mode}
    stopping, schedule = dict(config.callbacks.get("early_stopping") or {"enabled": False}), config.lr_schedule
    if stopping.pop("enabled"):
        limit.append(EarlyStopping(**stopping, **monitored))
    pruning = dict(config.callbacks.get("pruning") or {"enabled": False})
    if pruning.pop("enabled"):
        if not JOB.fullmatch(run.path.name):
            raise UserError("callbacks.pruning compares the jobs of a sweep: start one with -m, or leave it out.")
        limit.append(Pruning(run.path, **pruning, **monitored))
    if schedule.name == "plateau":
        waiting = {key: schedule[key] for key in WAITING}
        limit.append(Plateau(drops, **waiting, **monitored))
    evaluation = []
    if val_loader is not None:
        multi_label, num_samples = config.data.multi_label, val_loader.batch_sampler.num_samples
        meter = _meter_maker(settings, class_names, multi_label, num_samples)
        evaluation = [Evaluation(val_loader, settings.eval_every, meter=meter)]
        if multi_label and first:
            writers = {**writers, THRESHOLDS: evaluation[0].write_thresholds}
    if settings.profiler.enabled:
        options = {key: value for key, value in settings.profiler.items() if key != "enabled"}
        limit, evaluation = [*limit, Profiler(run.path / "profile" if first else None, **options)], []
    shown = (
        [StartUp(), History(run.path, f"{run.path.name}: {config.model.name}"), ProgressBar(every=settings.log_every)]
        if first
        else []
    )
    logger = make_logger(config, run.path, system_line(config_hash(config))) if first else None
    return [
        *same,
        *features,
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
            mode=settings.monitor_mode,
            extra=texts,
            writers=writers,
        ),
        *([logger] if logger else []),  # whose service may take its time, when everything is saved
        Preemption(resume_command(config, run.path)),
    ]
