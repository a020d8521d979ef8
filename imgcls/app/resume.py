"""What a run records of itself, and whether a checkpoint may be continued under a new configuration."""

import hashlib
import json
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf

from imgcls.app.keys import Train
from imgcls.app.rows import Row, rows
from imgcls.app.text_value import text_value
from imgcls.data.formats.class_names import class_names_text, read_class_names
from imgcls.data.formats.record import Known, differences, known, write_samples
from imgcls.data.formats.samples import Samples
from imgcls.errors import UserError, close_matches, listed
from imgcls.machine.files import atomic_write
from imgcls.machine.reading import read_json, read_yaml
from imgcls.machine.text import shell_line
from imgcls.run.checkpoint import Writer, is_fluid_checkpoint, list_checkpoints, matches, progress_of
from imgcls.run.settings import flat

if TYPE_CHECKING:
    from imgcls.engine.trainer import Progress

COUNTS, LIST = "samples.json", "samples.gz"
"""Files of a checkpoint: number and digest of both splits' samples, and the list of those of training."""

JOB = re.compile(r"job-\d+")
"""How directories of a sweep's jobs are called."""

SIMPLE = re.compile(r"[\w./ +-]+")

LISTS = ("data.train_list", "data.val_list")
"""Keys that may change with what they name unchanged, which a checkpoint without ``COUNTS`` cannot tell."""


def config_hash(config: DictConfig) -> str:
    """Short fingerprint of a configuration, the same wherever and under whatever name it runs."""
    known_rows = rows(Train)
    every = flat(OmegaConf.to_container(config))
    settings = {key: value for key, value in every.items() if key not in known_rows or _counts(known_rows[key], value)}
    return hashlib.sha256(yaml.safe_dump(settings).encode()).hexdigest()[:12]


def require_same_run(checkpoint: Path, texts: dict[str, str]) -> None:
    """Refuse to continue ``checkpoint`` when something that matters has changed since.

    Args:
        texts: this run's ``config.yaml`` and ``classes.txt``.

    Raises:
        UserError: naming each key with its value then and now.
    """
    known_rows = rows(Train)
    free = {key for key, row in known_rows.items() if row.free}
    if not (checkpoint / COUNTS).is_file():
        free.difference_update(LISTS)
    unrecorded = {key: row.unrecorded for key, row in known_rows.items()}
    before = flat(read_yaml(checkpoint / "config.yaml"))
    now = flat(yaml.safe_load(texts["config.yaml"]))
    changed = [
        f"{key}: was {before.get(key, unrecorded.get(key))}, is {now.get(key)}"
        for key in sorted({*before, *now})
        if before.get(key, unrecorded.get(key)) != now.get(key) and key not in free
    ]
    if class_names_text(read_class_names(checkpoint / "classes.txt")) != texts["classes.txt"]:
        changed.append("the class names of the data")
    if changed:
        what = listed(changed, separator="; ")
        raise UserError(
            f"The run in {checkpoint} cannot be continued, the configuration has changed: {what}. "
            "Set the values back, or start a new run.name with model.pretrained set to this checkpoint."
        )


def sample_writers(train: Samples, val: Samples | None) -> dict[str, Writer]:
    """What writes down in a checkpoint which samples its run has."""
    splits = {"train": known(train)._asdict(), "val": None if val is None else known(val)._asdict()}
    counts = json.dumps(splits, indent=1)
    return {COUNTS: lambda path: path.write_text(counts, encoding="utf-8"), LIST: partial(write_samples, train)}


class Before(NamedTuple):
    """What a checkpoint knows of the samples of its run: their number, and how those of now differ, in words."""

    count: int | None
    remarks: list[str]


def require_same_samples(checkpoint: Path, train: Samples, val: Samples | None) -> Before:
    """Refuse to continue ``checkpoint`` within an epoch that has other training samples now.

    Raises:
        UserError: what is other, and what can be done.
    """
    if not (checkpoint / COUNTS).is_file():
        return Before(None, [f"{checkpoint} does not say which pictures its run had: they are not compared."])
    before = _recorded(checkpoint)
    remarks = []
    if before["train"] != (now := known(train)):
        what = [f"{before['train'].count:,} then, {now.count:,} now", *differences(checkpoint / LIST, train)]
        if _within_epoch(checkpoint):
            raise UserError(
                f"The run in {checkpoint} is within an epoch and cannot be continued with other training pictures: "
                f"{'; '.join(what)}. Put them back, {_epoch_before(checkpoint)}or start a new run.name with "
                "model.pretrained set to this checkpoint."
            )
        remarks.append(f"The training pictures are others from here on: {'; '.join(what)}.")
    if val is not None and before["val"] is not None and before["val"] != (now := known(val)):
        remarks.append(
            f"The validation pictures are others from here on, {before['val'].count:,} then, {now.count:,} now: "
            "figures before and after are not of the same pictures."
        )
    return Before(before["train"].count, remarks)


def _recorded(checkpoint: Path) -> dict[str, Known | None]:
    try:
        content = read_json(checkpoint / COUNTS)
        found = {split: content[split] and Known(**content[split]) for split in ("train", "val")}
    except (KeyError, TypeError) as error:
        raise UserError(f"{checkpoint / COUNTS} is no count of samples.") from error
    if found["train"] is None or not all(isinstance(one.count, int) for one in found.values() if one is not None):
        raise UserError(f"{checkpoint / COUNTS} is no count of samples.")
    return found


def _within_epoch(checkpoint: Path) -> bool:
    try:
        return read_json(checkpoint / "state.json")["trainer"]["progress"]["batch"] > 0
    except (KeyError, TypeError) as error:
        raise UserError(f"{checkpoint / 'state.json'} is not the state of a run.") from error


def _epoch_before(checkpoint: Path) -> str:
    """The advice to go on from the end of the last whole epoch, if its checkpoint is there."""
    before = [one for one in list_checkpoints(checkpoint.parent) if progress_of(one) < progress_of(checkpoint)]
    whole = [one for one in before if matches(one, ("state.json",)) and not _within_epoch(one)]
    return f"go on from the end of an epoch with trainer.resume={whole[-1]}, " if whole else ""


def recorded_epochs(checkpoint: Path) -> int:
    """How long the run was to be."""
    return read_yaml(checkpoint / "config.yaml")["trainer"]["epochs"]


def ended(checkpoint: Path, progress: "Progress", epochs: int, max_steps: int | None) -> str | None:
    """Says that nothing is left to do, if a run of that length had ended when it wrote the checkpoint."""
    if progress.epoch >= epochs:
        length, key = f"{epochs} epochs", "trainer.epochs"
    elif max_steps is not None and progress.step >= max_steps and not is_fluid_checkpoint(checkpoint):
        rows = read_json(checkpoint / "state.json")["callbacks"].get("history", {}).get("rows")
        if not rows or rows[-1]["step"] != progress.step:  # the end of its last epoch is still to come
            return None
        length, key = f"{max_steps} updates", "trainer.max_steps"
    else:
        return None
    return f"Nothing is left to do: the run has ended after its {length}. With a larger {key} it goes on."


def resume_command(config: DictConfig, directory: Path) -> str:
    """What is typed to continue a run."""
    if config.trainer.nodes > 1:
        return f"the same command with run.name={directory.name} trainer.resume=auto"
    words = [f"imports=[{','.join(map(_typed, config.imports))}]"] if config.imports else []
    root = os.path.relpath(directory.parent)
    words += [f"run.root={_typed(root)}"] if root != "outputs" else []
    name = f"run.name={_typed(directory.name)}"
    return shell_line(["python", "-m", "imgcls.train", *words, name, "trainer.resume=auto"])


def _typed(text: str) -> str:
    """A text as the value of a key that takes texts as they are, but for what begins something of Hydra's."""
    return text if SIMPLE.fullmatch(text) else text_value(text)


def starts_anew(directory: Path) -> str:
    """What is said when nothing is there to continue, with the runs that may be meant."""
    runs = {path.parent.name for path in directory.parent.glob("*/checkpoints")} - {directory.name}
    meant = "" if JOB.fullmatch(directory.name) else close_matches(directory.name, runs)
    return f"There is no checkpoint in {directory} to continue: the run starts from the beginning.{meant}"


def write_texts(directory: Path, texts: dict[str, str]) -> None:
    """Write small text files into a run directory."""
    for name, content in texts.items():
        with atomic_write(directory / name) as partial:
            partial.write_text(content, encoding="utf-8")


def _counts(row: Row, value: object) -> bool:
    """Whether a key is part of the fingerprint; where it came later, only if it changes something."""
    came_later = row.later or row.unrecorded is not None
    return row.fingerprint and not (came_later and value == row.unrecorded)
