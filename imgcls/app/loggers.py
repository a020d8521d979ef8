"""Which loggers there are, what each is written with, and how a run gets its own."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from imgcls.app.recorded_config import recorded_config
from imgcls.errors import UserError
from imgcls.run.logs import log

if TYPE_CHECKING:
    from imgcls.callbacks.logger import Logger


class Kind(NamedTuple):
    """The class of a logger, and the package that it needs."""

    module: str
    name: str
    package: str


LOGGERS = {
    "tensorboard": Kind("event_files", "TensorBoard", "tensorboardX"),
    "visualdl": Kind("event_files", "VisualDL", "visualdl"),
    "wandb": Kind("wandb_logger", "WandB", "wandb"),
    "mlflow": Kind("mlflow_logger", "MLflow", "mlflow"),
}
"""Beside ``csv``, which every run has; each with an extra of its name."""


def missing(name: str | None) -> str | None:
    """What to install for a logger, if that is not there."""
    kind = LOGGERS.get(name or "")
    if kind is None:
        return None
    spec = find_spec(kind.package)
    if spec is not None and spec.origin is not None:  # a directory of that name has none
        return None
    return f'logger={name} needs the package {kind.package}: pip install "imgcls[{name}]"'


def make_logger(config: DictConfig, directory: Path, about: str = "") -> "Logger | None":
    """The logger that a training configuration names beside ``csv``.

    Args:
        directory: of the run.
        about: a line on what the numbers depend on.
    """
    section = config.logger
    if section.name not in LOGGERS:
        return None
    kind = LOGGERS[section.name]
    options: dict[str, Any] = {key: value for key, value in section.items() if key != "name"}
    shown = OmegaConf.to_container(config)
    found = getattr(import_module(f"imgcls.callbacks.{kind.module}"), kind.name)
    return found(directory, every=config.trainer.log_every, about=about, config=shown, **options)


def attach_report(checkpoint: Path | None, files: Sequence[Path]) -> None:
    """Add pictures and the page of an evaluation to where the run of a checkpoint has its figures.

    What stands in the way is told, and the evaluation is done all the same.
    """
    directory = checkpoint.parent.parent if checkpoint is not None else None
    try:
        if directory is None or not (directory / "config.yaml").is_file():
            raise UserError("what was evaluated is no run or checkpoint of one.")
        recorded = recorded_config(directory / "config.yaml")
        logger = make_logger(recorded, directory) if recorded.get("logger") else None
        if logger is None:
            raise UserError("the run was logged to its own files alone.")
        there = [file for file in files if file.is_file()]
        logger.begin(0)
        logger.attach(there, 0)
        logger.end(finished=True)
        log.info("attached to the run's %s: %s", recorded.logger.name, ", ".join(file.name for file in there))
    except Exception as error:  # whatever the packages and their services raise
        reason = str(error).partition("\n")[0] or type(error).__name__
        log.warning("The report is not attached to the run's figures: %s", reason)
