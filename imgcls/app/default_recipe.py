"""What a training is that is told nothing of how to train: the recipe that is best on the bundled photos."""

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imgcls.app.conf import conf_directory
from imgcls.machine.reading import read_yaml

NAME = "linear_probe"
NEUTRAL = ("imports", "hydra", "run", "logger", "callbacks.early_stopping", "callbacks.nan_guard")
NEUTRAL_OF_TRAINER = (
    *("seed", "deterministic", "gpus", "processes", "num_workers", "eval_batch_size", "max_restarts", "rank_timeout"),
    *("eval_every", "save_every", "save_every_steps", "keep_checkpoints", "log_every", "resume"),
    *("monitor", "monitor_mode", "topk", "metrics"),
)
"""Keys that say where a run is, what it writes and how it is carried out."""


def is_told_nothing(given: Iterable[str]) -> bool:
    """Whether these keys leave it open what is trained, on which pictures, and how."""
    neutral = {*NEUTRAL, *(f"trainer.{key}" for key in NEUTRAL_OF_TRAINER)}
    return all(any(key == one or key.startswith(f"{one}.") for one in neutral) for key in given)


def with_default_recipe(config: DictConfig) -> DictConfig:
    """The typed configuration with what ``experiment=<NAME>`` sets."""
    result = config.copy()
    for key, value in _leaves(read_yaml(conf_directory() / "experiment" / f"{NAME}.yaml")):
        OmegaConf.update(result, key, value)
    return result


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
