"""A learning-rate range test of a training configuration: the same data, network and loss, for some updates."""

import math
from pathlib import Path

from omegaconf import DictConfig

from imgcls.app.callbacks import optional_callbacks
from imgcls.app.data import read_samples, training_transform
from imgcls.app.own import require_own
from imgcls.app.pixels import channels_of, with_pixels
from imgcls.app.source import preprocessing
from imgcls.app.training import build_trainer, optimizer_of, training_loader
from imgcls.callbacks.lr_range import LRRange
from imgcls.callbacks.lr_schedule import LRSchedule
from imgcls.engine.optimizers import OptimizerLR
from imgcls.engine.ranks import join
from imgcls.functional.lr_range import exponential_range, suggestion
from imgcls.machine.device import select_device
from imgcls.machine.spreadsheet import write_spreadsheet
from imgcls.report.lr_curve_drawing import draw_lr_curve
from imgcls.run.logs import log


def search_lr(config: DictConfig, directory: Path) -> float | None:
    """Write ``lr_find.csv`` and ``lr_find.png`` and suggest ``optimizer.lr``; nothing of the training is kept.

    Returns:
        The suggested ``optimizer.lr``; ``None`` where the losses say nothing.
    """
    config = with_pixels(config)
    settings, search = config.trainer, config.lr_find
    select_device(settings.gpus, deterministic=settings.deterministic, training=True)
    join()
    require_own(config)
    own = {"undivided": settings.eval_every == 0, "channels": channels_of(config.transform)}
    samples = read_samples(config.data, "train", config.model.num_classes, **own)
    loader = training_loader(config, samples, training_transform(config.transform), directory)
    trainer = build_trainer(config, samples, preprocessing(config.transform, config.model))
    schedule = exponential_range(search.start_lr, search.end_lr, search.steps)
    trainer.prepare(optimizer_of(config.optimizer, trainer.network, OptimizerLR(schedule)))
    noted = LRRange(search.steps, search.stop_factor)
    log.info("%d updates with learning rates from %g to %g", search.steps, search.start_lr, search.end_lr)
    epochs = math.ceil(search.steps / len(loader))
    trainer.fit(loader, epochs, [*optional_callbacks(config.callbacks), LRSchedule(), noted])

    found = suggestion(noted.rates, noted.losses)
    if len(noted.losses) < search.steps:
        log.info("ended after %d updates, at a learning rate of %.2g: the loss ran away", len(noted.losses), noted.rate)
    rows = [list(pair) for pair in zip(noted.rates, noted.losses, strict=True)]
    write_spreadsheet(directory / "lr_find.csv", ["lr", "loss"], rows)
    title = f"{config.model.name} on {config.data.root or config.data.name}, batches of {settings.batch_size}"
    draw_lr_curve(noted.rates, noted.losses, found, directory / "lr_find.png", title)
    log.info("curve: %s", directory / "lr_find.png")
    if found is None:
        log.warning(
            "The loss does not fall at any of these rates: there is nothing to suggest. Try more updates "
            "(lr_find.steps), other bounds (lr_find.start_lr, lr_find.end_lr), or look at the data."
        )
        return None
    lr = found * config.optimizer.base_batch_size / settings.batch_size if config.optimizer.scale_lr else found
    log.info("suggestion, where the loss falls most steeply: optimizer.lr=%.2g", lr)
    return float(f"{lr:.2g}")
