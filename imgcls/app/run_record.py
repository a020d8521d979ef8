"""What a run wrote down, taken over by the programs that use its result."""

from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from imgcls.errors import UserError

SECTIONS = ("model", "data", "transform")


@dataclass(frozen=True)
class Recorded:
    """A checkpoint with the configuration and the class names of the run that wrote it."""

    checkpoint: Path
    config: DictConfig
    class_names: list[str]


def read_recorded(source: str | Path) -> Recorded | None:
    """The record behind a run directory (its best checkpoint, else its last) or a checkpoint directory.

    Returns:
        ``None`` when ``source`` is something else, a weights file for instance.

    Raises:
        UserError: there is nothing at ``source``.
    """
    path = Path(source)
    if not path.exists():
        raise UserError(f"{path}: there is no such run, checkpoint or weights file.")
    candidates = (path, path / "checkpoints" / "best", path / "checkpoints" / "last")
    for candidate in candidates:
        if (candidate / "network.pdparams").is_file():
            config = OmegaConf.load(candidate / "config.yaml")
            class_names = (candidate / "classes.txt").read_text().splitlines()
            return Recorded(candidate.resolve(), config, class_names)
    if (path / "checkpoints").is_dir():
        raise UserError(f"{path} is a run without a checkpoint yet.")
    return None


def adopt(config: DictConfig, recorded: Recorded) -> DictConfig:
    """The run's model, data and transform sections, under whatever the command line says itself.

    ``data=folder`` on the command line replaces the section, ``data.root=...`` only that value.
    """
    result = OmegaConf.create(OmegaConf.to_container(config))
    given = [override.lstrip("+~").split("=", 1)[0] for override in HydraConfig.get().overrides.task]
    for section in SECTIONS:
        if section in given or section not in config:
            continue
        result[section] = recorded.config[section]
        for key in given:
            if key.startswith(f"{section}."):
                OmegaConf.update(result, key, OmegaConf.select(config, key), force_add=True)
    return result
