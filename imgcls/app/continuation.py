"""The configuration of a run that goes on: what the command does not say again comes from the run."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from imgcls.app.keys import Train
from imgcls.app.recorded_config import recorded_config
from imgcls.app.rows import rows
from imgcls.app.run_record import overlay, require_modules
from imgcls.run.checkpoint import newest_whole

CONFIG = "config.yaml"
RECIPES = ("experiment", "debug")
"""Groups that set keys of other sections."""

TOLD = {"model", "data", "transform", "optimizer", "lr_schedule", "loss", "distill", "probe", *RECIPES}
"""Sections and groups of a command that says what is trained, and how."""

OF_THE_COMMAND = ("trainer.resume", "trainer.node_rank", "trainer.profiler")
"""What is asked for once, or of one machine."""

UNRECORDED = rows(Train)["transform.resampling"].unrecorded

SECTIONS = tuple(name for name in Train.__dataclass_fields__ if name not in ("run", "imports"))


def continued(
    config: DictConfig, directory: Path, overrides: list[str], given: Iterable[str], compose: Callable[..., DictConfig]
) -> DictConfig:
    """A training configuration under which the run that ``trainer.resume`` names is that of its checkpoint.

    Args:
        config: typed, as composed of the command.
        directory: of the run.
        overrides: of the command.
        given: keys that the command sets, groups among them: what they say stays.
        compose: from overrides to a typed configuration.

    Returns:
        ``config`` as it is when there is nothing to continue.

    Raises:
        UserError: the run used modules of its owner's that the command does not name.
    """
    given = list(given)
    checkpoint = _checkpoint(config.trainer.resume, directory)
    if (
        checkpoint is None
        and (directory / CONFIG).is_file()
        and TOLD.isdisjoint(key.partition(".")[0] for key in given)
    ):
        checkpoint = directory  # it was ended before its first checkpoint, and the command says no more than its name
    if checkpoint is None:
        return config
    recorded = recorded_config(checkpoint / CONFIG)
    given = [*given, *OF_THE_COMMAND, *_of_recipes(overrides, recorded, compose)]
    require_modules(_modules(recorded, given), config.imports, checkpoint)
    kept = {name: _known(name, recorded[name]) for name in SECTIONS if name in recorded}
    OmegaConf.merge(OmegaConf.structured(Train), *kept.values())  # wrong types are named
    filled = {name: _filled(name, recorded[name], own[name], config, compose) for name, own in kept.items()}
    result = overlay(config, OmegaConf.create(filled), given, SECTIONS)
    if result.transform.resampling is None:  # which is chosen once, where a run begins
        result.transform.resampling = recorded.get("transform", {}).get("resampling", UNRECORDED)
    return result


def _checkpoint(resume: str, directory: Path) -> Path | None:
    """The checkpoint whose configuration counts; whether all of it is whole is found out later."""
    if resume != "auto":
        return Path(resume) if (Path(resume) / CONFIG).is_file() else None
    return newest_whole(directory / "checkpoints", report=lambda _: None, files=(CONFIG,))


def _of_recipes(overrides: list[str], recorded: DictConfig, compose: Callable[..., DictConfig]) -> list[str]:
    """Keys that the command's recipes set; the whole section where they choose another than the run has."""
    chosen = [override for override in overrides if override.lstrip("+").partition("=")[0] in RECIPES]
    if not chosen:
        return []
    plain, recipe = compose([]), compose(chosen)
    keys = [key for key in rows(Train) if OmegaConf.select(plain, key) != OmegaConf.select(recipe, key)]
    others = [key for key in keys if OmegaConf.select(recorded, key) != OmegaConf.select(recipe, key)]
    return [key.removesuffix(".name") for key in others if not key.startswith("run.")]


def _known(name: str, section: DictConfig) -> DictConfig:
    """A recorded section under its name, without the keys that have gone since."""
    known = OmegaConf.create({name: section})
    kept = OmegaConf.create({name: {}})
    for key in _leaves(known):
        if key in rows(Train) or ".args." in key:
            OmegaConf.update(kept, key, OmegaConf.select(known, key), force_add=True)
    return kept


def _filled(
    name: str, section: DictConfig, kept: DictConfig, config: DictConfig, compose: Callable[..., DictConfig]
) -> DictConfig:
    """What is kept of a recorded section with the keys that have come since."""
    choice = section.get("name")
    base = config[name]
    if choice == "own":
        base = {}
    elif choice != base.get("name"):
        base = compose([f"{name}={choice}"])[name]
    return OmegaConf.merge(OmegaConf.create(OmegaConf.to_container(OmegaConf.create(base))), kept)


def _leaves(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, DictConfig) and f"{prefix}{key}" not in rows(Train):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _modules(recorded: DictConfig, given: list[str]) -> list[str]:
    """Modules of its owner's that the run has used, beside what the command names again."""
    targets = [recorded[name].get("_target_") for name in SECTIONS if name in recorded and name not in given]
    for key in ("callbacks.extra", "transform.extra"):
        if not {key, key.partition(".")[0]}.intersection(given):
            targets += [entry.get("_target_") for entry in OmegaConf.select(recorded, key) or ()]
    return [*recorded.get("imports", ()), *(target.rpartition(".")[0] for target in targets if target)]
