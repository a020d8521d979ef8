"""What a run wrote down, taken over by the programs that use its result."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from imgcls.errors import UserError

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
        raise UserError(f"{path}: there is no such run, checkpoint or weights file.")
    candidates = (path, path / "checkpoints" / "best", path / "checkpoints" / "last")
    for candidate in candidates:
        if (candidate / "network.pdparams").is_file():
            config = OmegaConf.load(candidate / "config.yaml")
            class_names = (candidate / "classes.txt").read_text().splitlines()
            return RunRecord(candidate.resolve(), config, class_names)
    if (path / "checkpoints").is_dir():
        raise UserError(f"{path} is a run without a checkpoint yet.")
    return None


def merge_record(config: DictConfig, record: RunRecord, given: Iterable[str]) -> DictConfig:
    """The run's model, data and transform sections, under whatever the command line says itself."""
    return overlay(config, record.config, given, SECTIONS)


def overlay(config: DictConfig, recorded: DictConfig, given: Iterable[str], sections: Iterable[str]) -> DictConfig:
    """Recorded sections in place of a configuration's own, under whatever the command line says itself.

    Args:
        given: keys of the command line: ``data`` replaces the section, ``data.root`` only that value.
        sections: those to take over, where both have them.
    """
    result = OmegaConf.create(OmegaConf.to_container(config))
    given = list(given)
    for section in sections:
        if section in given or section not in config or section not in recorded:
            continue
        result[section] = recorded[section]
        for key in given:
            if key.startswith(f"{section}."):
                OmegaConf.update(result, key, OmegaConf.select(config, key), force_add=True)
    return result


def require_modules(needed: Iterable[str], imports: Iterable[str], checkpoint: Path) -> None:
    """Import nothing because a checkpoint says so: whoever uses it names the modules again.

    Args:
        needed: modules, or paths of ``.py`` files, that the run has used.
        imports: those that are named now.

    Raises:
        UserError: one of them is not named.
    """
    named = set(map(_module, imports))
    needed = list({_module(name): name for name in reversed([*needed])}.values())[::-1]
    missing = [name for name in needed if _module(name) not in named]
    if missing:
        raise UserError(
            f"The run in {checkpoint} used modules of its owner's: {', '.join(missing)}. Nothing is imported "
            f"because a file says so. If they are yours, add 'imports=[{','.join(needed)}]'."
        )


def _module(name: str) -> str:
    return Path(name).stem if name.endswith(".py") else name
