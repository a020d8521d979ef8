"""What a run records of itself, and whether a checkpoint may be continued under a new configuration."""

import hashlib
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf

from imgcls.app.keys import Train
from imgcls.app.rows import Row, rows
from imgcls.data.formats.class_names import class_names_text, read_class_names
from imgcls.errors import UserError
from imgcls.machine.files import atomic_write
from imgcls.machine.reading import read_yaml
from imgcls.run.settings import flat


def config_hash(config: DictConfig) -> str:
    """Short fingerprint of a configuration, the same wherever and under whatever name it runs."""
    known = rows(Train)
    every = flat(OmegaConf.to_container(config))
    settings = {key: value for key, value in every.items() if key not in known or _counts(known[key], value)}
    return hashlib.sha256(yaml.safe_dump(settings).encode()).hexdigest()[:12]


def require_same_run(checkpoint: Path, texts: dict[str, str]) -> None:
    """Refuse to continue ``checkpoint`` when something that matters has changed since.

    Args:
        texts: this run's ``config.yaml`` and ``classes.txt``.

    Raises:
        UserError: naming each key with its value then and now.
    """
    known = rows(Train)
    free = {key for key, row in known.items() if row.free}
    unrecorded = {key: row.unrecorded for key, row in known.items()}
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
        raise UserError(
            f"The run in {checkpoint} cannot be continued, the configuration has changed: {'; '.join(changed)}. "
            "Set the values back, or start a new run.name with model.pretrained set to this checkpoint."
        )


def write_texts(directory: Path, texts: dict[str, str]) -> None:
    """Write small text files into a run directory."""
    for name, content in texts.items():
        with atomic_write(directory / name) as partial:
            partial.write_text(content, encoding="utf-8")


def _counts(row: Row, value: object) -> bool:
    """Whether a key is part of the fingerprint; where it came later, only if it changes something."""
    return row.fingerprint and (row.unrecorded is None or value != row.unrecorded)
