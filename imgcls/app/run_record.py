"""What a run wrote down, taken over by the programs that use its result."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from imgcls.app.channels import colour_problems
from imgcls.app.keys import DataConfig, ModelConfig, Train, TransformConfig
from imgcls.app.recorded_config import UNRESOLVED, is_resolved, leaves
from imgcls.app.rows import problems, rows
from imgcls.data.formats.class_names import read_class_names
from imgcls.data.paths import advice_on_form, printable
from imgcls.data.pictures.preprocessing import in_proportion
from imgcls.errors import UserError
from imgcls.machine.limits import ARGUMENT, CONFIG_NODES, IMAGE_SIDE
from imgcls.machine.reading import read_json, read_yaml, shown
from imgcls.run.checkpoint import FOR_USE, MANIFEST, THRESHOLDS, DamagedCheckpoint, read_manifest, verify

SECTIONS = {"model": ModelConfig, "data": DataConfig, "transform": TransformConfig}


@dataclass(frozen=True)
class RunRecord:
    """A whole checkpoint with the configuration and the class names of the run that wrote it."""

    checkpoint: Path
    config: DictConfig
    class_names: list[str]

    @property
    def multi_label(self) -> bool:
        """Whether images have any number of classes."""
        return bool((self.config.get("data") or {}).get("multi_label", False))

    def thresholds(self, kind: str) -> tuple[float, ...] | None:
        """From which probability each class is taken, as these weights were tuned; ``None`` where they were not.

        Raises:
            UserError: the file holds something else.
        """
        if not self.multi_label or THRESHOLDS not in read_manifest(self.checkpoint):
            return None
        file = self.checkpoint / THRESHOLDS
        content = read_json(file)
        values = content.get(kind) if isinstance(content, dict) else ()
        if values is None:
            return None
        are_right = isinstance(values, list) and len(values) == len(self.class_names)
        if not (are_right and all(type(one) in (int, float) and 0 <= one <= 1 for one in values)):
            raise UserError(f"{file} has no threshold in 0 to 1 for each class.")
        return tuple(map(float, values))

    def kind_of_weights(self, kind: str) -> str:
        """``network`` or ``ema``; of ``auto``, that by whose figures the run chose its best checkpoint."""
        if kind != "auto":
            return kind
        monitor = (self.config.get("trainer") or {}).get("monitor")
        has_average = "ema.pdparams" in read_manifest(self.checkpoint)
        return "ema" if has_average and isinstance(monitor, str) and monitor.endswith("_ema") else "network"

    def weights(self, kind: str) -> Path:
        """The file of the weights: ``network``, or ``ema`` for the averaged ones.

        Raises:
            UserError: the run did not keep an average.
        """
        name = f"{kind}.pdparams"
        if name not in read_manifest(self.checkpoint):
            raise UserError(f"{self.checkpoint} has no {kind} weights: the run did not keep an average.")
        return self.checkpoint / name


def read_record(source: str | Path) -> RunRecord | None:
    """The record behind a run directory (its best checkpoint, else its last) or a checkpoint directory.

    Returns:
        ``None`` when ``source`` is something else, a weights file for instance.

    Raises:
        UserError: there is nothing at ``source``, or the checkpoint is damaged; nothing of it is read before
            all of it has been compared with its manifest.
    """
    path = Path(source)
    if not os.path.exists(path):  # which takes a name that no file can have for one that is not there
        raise UserError(f"{printable(path)}: there is no such run, checkpoint or weights file.{advice_on_form(path)}")
    within = path if path.name == "checkpoints" else path / "checkpoints"
    for candidate in (path, within / "best", within / "last"):
        if candidate.is_symlink() and not candidate.exists():
            raise UserError(f"{candidate} leads to a checkpoint that is gone. Name another one of the run.")
        if any((candidate / name).is_file() for name in (FOR_USE[0], MANIFEST)):
            return _read(candidate.resolve())
    if (path / "checkpoints").is_dir():
        raise UserError(f"{path} is a run without a checkpoint yet.")
    return None


def _read(checkpoint: Path) -> RunRecord:
    try:
        verify(checkpoint, FOR_USE)
    except DamagedCheckpoint as error:
        raise DamagedCheckpoint(f"{error} Name another checkpoint of the run, or a file of weights.") from error
    file = checkpoint / "config.yaml"
    content = read_yaml(file, CONFIG_NODES)
    if wrong := [*_problems(content)]:
        raise UserError(f"{file} is no configuration of a run: {' '.join(wrong[:5])}")
    class_names = read_class_names(checkpoint / "classes.txt")
    return RunRecord(checkpoint, OmegaConf.create(content), class_names)


def _problems(content: dict[str, Any]) -> Iterator[str]:
    """What makes the sections of a recorded configuration unfit for use; keys of other versions are left alone."""
    if not is_resolved(content):
        yield UNRESOLVED
        return
    if any(key == "_target_" and not isinstance(value, str) for key, value in leaves(content)):
        yield "a _target_ is no name."
    names = content.get("imports", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield "imports is no list of names."
    for section, schema in SECTIONS.items():
        values = content.get(section)
        if not isinstance(values, dict):
            yield f"there is no section {section}."
            continue
        known = rows(schema)
        own = {key: value for key, value in values.items() if key in schema.__dataclass_fields__}
        try:
            typed = OmegaConf.merge(OmegaConf.structured(schema), own)
        except OmegaConfBaseException as error:
            yield f"{section}: {shown(str(error).partition(chr(10))[0], 200)}."
            continue
        for key, row in known.items():
            yield from problems(f"{section}.{key}", OmegaConf.select(typed, key), row.rules)
    model, data, transform = (
        values if isinstance(values := content.get(section), dict) else {} for section in SECTIONS
    )
    if isinstance(transform.get("mean"), list) and isinstance(transform.get("std"), list):
        yield from colour_problems(transform, model)
    size = transform.get("size")
    edges = size if isinstance(size, list) else [size]
    given = {f"transform.size[{number}]" if len(edges) > 1 else "transform.size": e for number, e in enumerate(edges)}
    given |= {"transform.resize_size": transform.get("resize_size")}
    given |= {f"model.{key}": model.get(key) for key in ("input_size", "resize_size")}
    for key, side in given.items():
        if isinstance(side, int) and side > IMAGE_SIDE:
            yield f"{key} is more than {IMAGE_SIDE} pixels."
    numbers = [*edges, model.get("input_size"), model.get("resize_size")]
    are_sides = all(isinstance(side, int) and side > 0 for side in numbers)
    if are_sides and in_proportion(min(edges), *numbers[-2:]) > IMAGE_SIDE:
        yield f"transform.size and the model's sizes make a short side of more than {IMAGE_SIDE} pixels."
    arguments = model.get("args")
    numbers = [value for _, value in leaves(arguments if isinstance(arguments, dict) else {})]
    numbers += [model.get("num_classes"), data.get("num_classes")]
    if any(isinstance(number, int | float) and not abs(number) <= ARGUMENT for number in numbers):
        yield f"model.args or num_classes has a number of more than {ARGUMENT:,}."


def _unrecorded(section: str, config: DictConfig) -> dict[str, Any]:
    """What the keys were that came after some runs; those that the section has now."""
    known = rows(Train).items()
    keys = ((key.removeprefix(f"{section}."), row) for key, row in known if key.startswith(f"{section}."))
    return {key: row.unrecorded for key, row in keys if key in config[section]}


def merge_record(config: DictConfig, record: RunRecord, given: Iterable[str]) -> DictConfig:
    """The run's model, data and transform sections, under whatever the command line says itself."""
    sections = {name: {**_unrecorded(name, config), **record.config[name]} for name in SECTIONS if name in config}
    return overlay(config, OmegaConf.create(sections), given, SECTIONS)


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
