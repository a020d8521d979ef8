"""One process of a training run: from a configuration to a trained network, top to bottom."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import paddle
from omegaconf import DictConfig, OmegaConf

from imgcls.app.callbacks import optional_callbacks, training_callbacks
from imgcls.app.data import make_loader, read_samples, training_transform
from imgcls.app.keys import SOFTMAX_LOSSES
from imgcls.app.loss import build_loss
from imgcls.app.monitors import monitor_problems
from imgcls.app.next_steps import next_steps
from imgcls.app.own import find_own, require_own
from imgcls.app.pixels import USUAL, channels_of, resampling_of, tell, tell_channels
from imgcls.app.probe import HeadTraining, head_epochs
from imgcls.app.resume import (
    Before,
    config_hash,
    ended,
    recorded_epochs,
    require_same_run,
    require_same_samples,
    sample_writers,
    starts_anew,
    write_texts,
)
from imgcls.app.source import network_and_report, own_modules, preprocessing
from imgcls.app.teacher import distillation, with_photos
from imgcls.callbacks.checkpoint import recorded_progress, restore
from imgcls.callbacks.history import History
from imgcls.callbacks.pruning import Pruning
from imgcls.data.formats.class_names import class_names_text
from imgcls.data.formats.record import known
from imgcls.data.formats.samples import Samples
from imgcls.data.loading.dali import DaliLoader
from imgcls.data.loading.loader import Loader
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.data.pictures.transforms import Transform
from imgcls.engine.amp import AmpSettings
from imgcls.engine.callback import Callback
from imgcls.engine.freezing import freeze
from imgcls.engine.optimizers import OptimizerLR, build_optimizer, build_own_optimizer
from imgcls.engine.ranks import Ranks, join
from imgcls.engine.ranks import current as current_ranks
from imgcls.engine.sync_batch_norm import synchronise_batch_norms
from imgcls.engine.trainer import Progress, Trainer
from imgcls.errors import UserError
from imgcls.functional.monitoring import best_row, direction
from imgcls.functional.schedules import WAITING, Schedule, build_schedule, joined
from imgcls.machine.device import select_device
from imgcls.machine.modules import call
from imgcls.machine.store import scheme_of
from imgcls.machine.text import write_json
from imgcls.models.checks import require_methods
from imgcls.models.registry import model_info
from imgcls.run.checkpoint import is_fluid_checkpoint
from imgcls.run.directory import Run, agree_on_run
from imgcls.run.fluid_checkpoint import restore_fluid
from imgcls.run.logs import log, start_log, system_line


def train(config: DictConfig, open_run: Callable[[], Run], own_callbacks: Sequence[Callback] = ()) -> float | None:
    """Train in this process, the only one or a rank that a launcher has started.

    Args:
        open_run: gives the run's directory; called on rank 0, when the data has been found in order.
        own_callbacks: objects of the user's own, after those that the configuration names.

    Returns:
        The best value of ``trainer.monitor``; ``None`` on other ranks than 0.
    """
    settings = config.trainer
    start_log()
    gpus = 0 if settings.processes > 1 else settings.gpus
    select_device(gpus, deterministic=settings.deterministic, training=True)
    ranks = join()
    require_own(config)
    augment, features = training_transform(config.transform), [*optional_callbacks(config.callbacks), *own_callbacks]
    evaluates = settings.eval_every > 0
    read = partial(read_samples, config.data, channels=channels_of(config.transform))
    train_samples = read("train", config.model.num_classes, undivided=not evaluates)
    class_names = train_samples.class_names
    distill = config.distill if config.get("distill") and config.distill.teacher is not None else None
    if distill and distill.photos is not None:
        train_samples = with_photos(train_samples, distill.photos)
    val_samples = read("val", None, class_names) if evaluates else None
    if scheme_of(config.data.root) is not None:
        require_one_listing(config.data.root, ranks, train_samples, val_samples)
    _require_telling(config, class_names, bool(own_callbacks))

    with agree_on_run(ranks, open_run) as run:
        texts = {"config.yaml": OmegaConf.to_yaml(config), "classes.txt": class_names_text(class_names)}
        fluid = run.start_from is not None and is_fluid_checkpoint(run.start_from)
        before: Before | None = None
        if run.start_from and not fluid:
            require_same_run(run.start_from, texts)
            before = require_same_samples(run.start_from, train_samples, val_samples)
        if ranks.first:
            (run.path / "summary.json").unlink(missing_ok=True)  # of what the run had reached before
            write_texts(run.path, texts)
            start_log(run.path / "train.log")
        log.info(system_line(config_hash(config)))
        if settings.resume == "auto" and not run.start_from:
            log.warning("%s", starts_anew(run.path))
        for remark in before.remarks if before else ():
            log.warning("%s", remark)
        _tell_pixels(config, ranks, goes_on=run.start_from is not None)

        seen = preprocessing(config.transform, config.model)
        train_loader = training_loader(config, train_samples, augment, run.path)
        val_loader = None
        if val_samples is not None:
            val_loader = make_loader(
                val_samples,
                seen.transform(),
                config.data,
                size=config.transform.size,
                batch_size=settings.eval_batch_size,
                num_workers=settings.num_workers,
                directory=run.path,
            )
        sizes = len(train_samples), len(val_samples or ()), len(class_names)
        log.info("%d training and %d validation pictures in %d classes", *sizes)
        if val_samples is None:
            log.info("trainer.eval_every=0: nothing is evaluated, and the last checkpoint counts as the best")
        for name, samples in (("training", train_samples), ("validation", val_samples)):
            if samples is not None:
                _warn_of_one_class(name, samples)

        trainer = build_trainer(
            config,
            train_samples,
            seen,
            filled_later=run.start_from is not None,
            keep_former_head=config.probe.enabled and config.probe.from_classes,
        )
        if distill:
            if distill.features:
                require_methods(trainer.network, "distill.features", "forward_features")
            features = [*features, distillation(distill, seen, class_names)]
        base_lr = _learning_rate(config.optimizer, settings.batch_size)
        drops: list[int] = []  # of the learning rate, where the run itself decides on them
        schedule = _schedule(config, base_lr, len(train_loader), settings.epochs, drops)
        probing = 0 if fluid else head_epochs(config, settings.epochs)
        start = recorded_progress(run.start_from) if run.start_from and not fluid else Progress()

        def make_optimizer() -> paddle.optimizer.Optimizer:
            return optimizer_of(config.optimizer, trainer.network, OptimizerLR(schedule))

        head = None
        if start.epoch < probing:
            head = HeadTraining(trainer, probing, make_optimizer)
            if not config.model.pretrained and not run.start_from:
                log.warning("The body of %s has random weights: its features tell little.", config.model.name)
        else:
            trainer.prepare(make_optimizer())
        writers = sample_writers(train_samples, val_samples) if ranks.first else {}
        loaders = [train_loader, *([val_loader] if val_loader else [])]
        switched = head.loaders(loaders) if head else loaders
        train_loader, val_loader = switched[0], next(iter(switched[1:]), None)
        own = [head.callback(), *features] if head else features
        callbacks = training_callbacks(config, own, run, val_loader, class_names, texts, writers, drops)
        if fluid:
            restore_fluid(run.start_from, trainer, callbacks, len(train_loader))
        elif run.start_from:
            at_the_change = 0 < probing == start.epoch and start.batch == 0
            restore(run.start_from, trainer, callbacks, same_optimizer=not at_the_change)
        if run.start_from:
            log.info("continuing from %s, after %d updates", run.start_from, trainer.progress.step)
        epochs = settings.epochs
        if before:
            updates = len(train_loader) if before.count is None else math.ceil(before.count / settings.batch_size)
            then = recorded_epochs(run.start_from), updates
            old = _schedule(config, base_lr, then[1], then[0], drops)
            _tell_length(then, (epochs, len(train_loader)), *(one(trainer.progress.step) for one in (old, schedule)))
        said = run.start_from and ended(run.start_from, trainer.progress, epochs, settings.max_steps)
        if said := said or next(filter(None, (one.ended() for one in callbacks)), None):
            log.warning("%s", said)
            epochs = trainer.progress.epoch
        if head:
            head.prepare_features(config, run, train_samples, val_samples, augment)
        trainer.fit(train_loader, epochs, callbacks)
        ranks.barrier()
        if not ranks.first:
            return None
        best = _finish(run, trainer, settings)
        log.info("next:\n%s", "\n".join(f"  {step}" for step in next_steps(run.path, own_modules(config), val_samples)))
        return best


def require_one_listing(root: str, ranks: Ranks, *splits: Samples | None) -> None:
    """Refuse processes that have found different pictures behind an address, which may have changed meanwhile.

    Raises:
        UserError: they have.
    """
    found = " ".join(known(samples).sha256 for samples in splits if samples is not None)
    if ranks.broadcast(found) != found:
        raise UserError(
            f"The pictures at {root} are not those that the first process has found there: they have changed "
            "meanwhile. Start again when nothing is written there."
        )


def _tell_pixels(config: DictConfig, ranks: Ranks, goes_on: bool) -> None:
    """Say whose pixels it is.

    Raises:
        UserError: other machines have chosen others.
    """
    resampling, model = config.transform.resampling or USUAL, config.model
    if ranks.broadcast(resampling) != resampling:
        raise UserError(
            f"Here transform.resampling={resampling}, on the first machine it is another: OpenCV is installed on one "
            "only. Give transform.resampling in the command."
        )
    is_own = goes_on or not channels_of(config.transform).are_usual
    tell(resampling, resampling if is_own else resampling_of(model.pretrained, model_info(model.name)))
    tell_channels(config.transform)


def training_loader(config: DictConfig, samples: Samples, augment: Transform, directory: Path) -> Loader | DaliLoader:
    """The shuffled batches of a training; ``directory`` is told of files that cannot be read."""
    return make_loader(
        samples,
        augment,
        config.data,
        size=config.transform.size,
        batch_size=config.trainer.batch_size,
        num_workers=config.trainer.num_workers,
        seed=config.trainer.seed,
        shuffle=True,
        directory=directory,
    )


def build_trainer(
    config: DictConfig,
    samples: Samples,
    seen: Preprocessing,
    filled_later: bool = False,
    keep_former_head: bool = False,
) -> Trainer:
    """The network with its weights and what trains it, but for the optimizer.

    Args:
        samples: of training.
        filled_later: the weights will come from a checkpoint.
        keep_former_head: for a head that begins with it.
    """
    settings = config.trainer
    paddle.seed(settings.seed)  # what the weights do not fill
    network, report = network_and_report(config.model, samples.num_classes, filled_later=filled_later)
    if settings.sync_bn and current_ranks().count > 1:
        network = synchronise_batch_norms(network)
    frozen = freeze(network, config.model.freeze, config.model.freeze_batch_norms)
    return Trainer(
        network,
        seen.normalize,
        seed=settings.seed,
        accumulate=settings.accumulate,
        amp=AmpSettings(**_without(settings.amp, "max_skipped")),
        frozen=frozen,
        compile=settings.compile,
        loss=build_loss(config.loss, samples),
        former_head=report.former_head if keep_former_head else {},
    )


def _schedule(config: DictConfig, base_lr: float, steps_per_epoch: int, epochs: int, drops: Sequence[int]) -> Schedule:
    """The learning rate over a run of that length; with two parts, half a cosine over that of the head first."""
    first = head_epochs(config, epochs)
    if first and config.probe.lr is not None:
        factor = base_lr / config.optimizer.lr if config.optimizer.scale_lr else 1.0
        head_lr = config.probe.lr * factor
    else:
        head_lr = base_lr
    if 0 < first < epochs:
        head_alone = build_schedule("cosine", base_lr=head_lr, steps_per_epoch=steps_per_epoch, epochs=first)
        then = _plain_schedule(config, base_lr, steps_per_epoch, epochs - first, drops)
        return joined(head_alone, first * steps_per_epoch, then)
    return _plain_schedule(config, head_lr, steps_per_epoch, epochs, drops)


def _plain_schedule(
    config: DictConfig, base_lr: float, steps_per_epoch: int, epochs: int, drops: Sequence[int]
) -> Schedule:
    """The learning rate over so many epochs; of a plateau, with these ``drops``."""
    section = config.lr_schedule
    own, by_itself = section.name == "own", section.name == "plateau"
    return build_schedule(
        find_own(section, "lr_schedule") if own else section.name,
        base_lr=base_lr,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        **_without(section, "name", "_target_", "args", *(WAITING if by_itself else ())),
        **(section.args if own else {}),
        **({"drops": drops} if by_itself else {}),
    )


def _tell_length(then: tuple[int, int], now: tuple[int, int], rate_then: float, rate_now: float) -> None:
    """Say what becomes of a run whose length has changed: epochs and updates of each, and the next learning rate."""
    if then != now:
        rates = (
            f"{rate_now:.3g}, not {rate_then:.3g} as by the old length" if rate_now != rate_then else f"{rate_now:.3g}"
        )
        log.warning(
            "The run was %d epochs of %d updates and is %d of %d now; the learning rate of the next update is %s.",
            *(*then, *now, rates),
        )


def optimizer_of(section: DictConfig, network: paddle.nn.Layer, lr: OptimizerLR) -> paddle.optimizer.Optimizer:
    options = _without(section, "name", "lr", "scale_lr", "base_batch_size", "_target_", "args")
    if section.name != "own":
        return build_optimizer(section.name, network, lr, **options)
    make = partial(call, find_own(section, "optimizer"), "optimizer._target_", **section.args)
    return build_own_optimizer(make, network, lr, **options)


def _learning_rate(optimizer: DictConfig, batch_size: int) -> float:
    """``optimizer.lr``, in proportion to the batch over all devices if it is to be."""
    if not optimizer.scale_lr:
        return optimizer.lr
    lr = optimizer.lr * batch_size / optimizer.base_batch_size
    log.info(
        "learning rate %g = optimizer.lr %g x batch of %d / base batch of %d",
        *(lr, optimizer.lr, batch_size, optimizer.base_batch_size),
    )
    return lr


def _without(section: DictConfig, *keys: str) -> dict[str, Any]:
    """A section as keyword arguments, but for some keys."""
    return {str(key): value for key, value in section.items() if key not in keys}


def _require_telling(config: DictConfig, class_names: Sequence[str], own_metrics: bool) -> None:
    """Refuse what can tell nothing: one class, or a ``trainer.monitor`` that no evaluation will give."""
    if len(class_names) == 1 and config.loss.name in SOFTMAX_LOSSES:
        raise UserError(
            "The training data has one class only: there is nothing to tell apart, and every answer would be right. "
            "Give each class a directory, or a label of its own in the list."
        )
    for problem in () if own_metrics else monitor_problems(config, len(class_names), class_names):
        raise UserError(problem)


def _warn_of_one_class(name: str, samples: Samples) -> None:
    present = samples.class_counts().nonzero()[0]
    if len(present) == 1 < samples.num_classes:
        only = samples.class_names[present[0]]
        log.warning("All %s pictures are of one class, %s: accuracies of it say nothing of the others.", name, only)


def _finish(run: Run, trainer: Trainer, settings: DictConfig) -> float | None:
    """Write ``summary.json``, say where everything is, and return the best value of ``trainer.monitor``."""
    monitor, better = settings.monitor, direction(settings.monitor, settings.monitor_mode)
    history = next(callback for callback in trainer.callbacks if isinstance(callback, History))
    best = best_row(history.rows, f"val_{monitor}", better) or {}
    metrics = {name.removeprefix("val_"): value for name, value in best.items() if name.startswith("val_")}
    summary = {"best": {**metrics, "epoch": best.get("epoch")}, "epochs": trainer.progress.epoch}
    if any(isinstance(callback, Pruning) and callback.pruned_at for callback in trainer.callbacks):
        summary["pruned"] = True
    write_json(run.path / "summary.json", summary)
    if best:
        lowest = ", the lowest," if better == "min" else ""
        log.info("best %s %.4f%s in epoch %s", monitor, metrics[monitor], lowest, best["epoch"])
    log.info("curves: %s", run.path / "curves.png")
    log.info("model: %s", run.checkpoints / ("best" if (run.checkpoints / "best").exists() else "last"))
    return metrics.get(monitor)
