"""What a run wrote down, taken over by the programs that use its result."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from imgcls.data.formats.class_names import read_class_names
from imgcls.data.paths import advice_on_form, printable
from imgcls.errors import UserError
from imgcls.machine.text import read_recorded

SECTIONS = ("model", "data", "transform")


@dataclass(frozen=True)
class RunRecord:
    """A checkpoint with the configuration and the class names of the run that wrote it."""

    checkpoint: Path
    config: DictConfig
    class_names: list[str]

    def weights(self, kind: str) -> Path:
        """The file of the weights: ``network``, or ``ema`` for the averaged ones.

        Raises:
            UserError: the run did not keep an average.
        """
        file = self.checkpoint / f"{kind}.pdparams"
        if not file.is_file():
            raise UserError(f"{self.checkpoint} has no {kind} weights: the run did not keep an average.")
        return file


def read_record(source: str | Path) -> RunRecord | None:
    """The record behind a run directory (its best checkpoint, else its last) or a checkpoint directory.

    Returns:
        ``None`` when ``source`` is something else, a weights file for instance.

    Raises:
        UserError: there is nothing at ``source``.
    """
    path = Path(source)
    if not path.exists():
        raise UserError(f"{printable(path)}: there is no such run, checkpoint or weights file.{advice_on_form(path)}")
    candidates = (path, path / "checkpoints" / "best", path / "checkpoints" / "last")
    for candidate in candidates:
        if (candidate / "network.pdparams").is_file():
            config = OmegaConf.create(read_recorded(candidate / "config.yaml"))
            class_names = read_class_names(candidate / "classes.txt")
            return RunRecord(candidate.resolve(), config, class_names)
    if (path / "checkpoints").is_dir():
        raise UserError(f"{path} is a run without a checkpoint yet.")
    return None


def adopt(config: DictConfig, record: RunRecord, given: Iterable[str]) -> DictConfig:
    """The run's model, data and transform sections, under whatever the command line says itself.

    Args:
        given: keys of the command line: ``data`` replaces the section, ``data.root`` only that value.
    """
    result = OmegaConf.create(OmegaConf.to_container(config))
    given = list(given)
    for section in SECTIONS:
        if section in given or section not in config:
            continue
        result[section] = record.config[section]
        for key in given:
            if key.startswith(f"{section}."):
                OmegaConf.update(result, key, OmegaConf.select(config, key), force_add=True)
    return result
