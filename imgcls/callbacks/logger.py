"""A run's figures and pictures in somebody else's program: what all loggers do."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from imgcls.engine.callback import Callback
from imgcls.errors import UserError
from imgcls.machine.reading import read_json
from imgcls.machine.text import write_json

IDS = "logger.json"
"""In a run's directory: under which name a service knows the run, so that it goes on there."""

PICTURES = ("curves.png",)
"""Files of a run that are attached at its end."""

log = logging.getLogger("imgcls")


class Logger(Callback):
    """Scalars over updates: ``update/...`` while an epoch runs, ``epoch/...`` at its end, after its evaluation.

    A subclass says where they go. What fails there once training has begun, as a server that is gone, is told and ends
    what is sent there, not the run.

    Args:
        directory: of the run.
        every: updates between two notes; each fetches the loss from the device.
    """

    def __init__(self, directory: Path, every: int):
        super().__init__()
        self.directory = directory
        self.every = every
        self.lost = False

    def begin(self, step: int) -> None:
        """The run starts, or goes on after so many updates."""
        raise NotImplementedError

    def add(self, figures: Mapping[str, float], step: int) -> None:
        """Figures by name, after so many updates."""
        raise NotImplementedError

    def attach(self, files: Sequence[Path], step: int) -> None:
        """Pictures and pages, between ``begin`` and ``end``."""
        raise NotImplementedError

    def end(self, finished: bool) -> None:
        """The run is over, or stops for now."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        self.begin(self.trainer.progress.step)
        self.lost = False

    def on_train_batch_end(self, step, logs=None):
        trainer, totals = self.trainer, self.trainer.totals
        if trainer.progress.step % self.every == 0:
            self._add(
                "update",
                loss=float(trainer.last_loss),
                lr=trainer.learning_rate,
                images_per_second=totals.images_per_second(),
                data_wait=totals.waiting_share(),
            )

    def on_epoch_end(self, epoch, logs=None):
        trainer, totals = self.trainer, self.trainer.totals
        evaluated = {f"val_{name}": value for name, value in trainer.metrics.items()}
        self._add("epoch", train_loss=totals.mean_loss(), **evaluated)

    def on_train_end(self, logs=None):
        there = [path for name in PICTURES if (path := self.directory / name).is_file()]
        self._unless_lost(self.attach, there, self.trainer.progress.step)
        self._unless_lost(self.end, True)

    def on_interrupt(self):
        self._unless_lost(self.end, False)

    def _add(self, group: str, **values: float) -> None:
        figures = {f"{group}/{name}": value for name, value in values.items()}
        self._unless_lost(self.add, figures, self.trainer.progress.step)

    def _unless_lost(self, note: Callable[..., None], *arguments: Any) -> None:
        if self.lost:
            return
        try:
            note(*arguments)
        except Exception as error:  # whatever the packages and their services raise
            self.lost = True
            reason = str(error).partition("\n")[0][:200] or type(error).__name__
            log.warning(
                "logger=%s: %s. The run goes on without it; metrics.csv has the figures of each epoch.",
                *(type(self).__name__.lower(), reason.rstrip(".")),
            )


def package(name: str, extra: str) -> Any:
    """The package that a logger writes with.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f'logger={extra} needs the package {name}. Install it with: pip install "imgcls[{extra}]"'
        ) from error


def pixels(file: Path) -> Any:
    """A drawing as uint8 ``[H, W, 3]``."""
    import numpy as np
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def known_as(directory: Path, service: str) -> str | None:
    """Under which name a service knows the run; ``None`` where it does not yet."""
    file = directory / IDS
    if not file.is_file():
        return None
    found = read_json(file)
    name = found.get(service) if isinstance(found, dict) else None
    return name if isinstance(name, str) and name.isalnum() and len(name) <= 64 else None


def remember(directory: Path, service: str, name: str) -> None:
    """Note it down for when the run goes on."""
    file = directory / IDS
    before = read_json(file) if file.is_file() else {}
    write_json(file, {**(before if isinstance(before, dict) else {}), service: name})


def new_name() -> str:
    return secrets.token_hex(8)
