"""The ``config.yaml`` that a run has written, read as what it is: values, which lead to nothing beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imgcls.errors import UserError
from imgcls.machine.limits import CONFIG_NODES
from imgcls.machine.reading import read_yaml

UNRESOLVED = "it holds interpolations or odd keys, and what a run records is resolved."


def recorded_config(file: Path) -> DictConfig:
    """
    Raises:
        UserError: it is damaged; or holds interpolations, which would read this process's environment for one.
    """
    content = read_yaml(file, CONFIG_NODES)
    if not is_resolved(content):
        raise UserError(f"{file} is no configuration of a run: {UNRESOLVED}")
    return OmegaConf.create(content)


def is_resolved(content: dict[str, Any]) -> bool:
    return all(
        isinstance(key, str | int) and not (isinstance(value, str) and "${" in value) for key, value in leaves(content)
    )


def leaves(value: dict | list, key: Any = "") -> Iterator[tuple[Any, Any]]:
    """Every value that is no container, with the key it stands under, and every key of a container."""
    for name, item in value.items() if isinstance(value, dict) else ((key, item) for item in value):
        if isinstance(item, dict | list):
            yield name, None
            yield from leaves(item, name)
        else:
            yield name, item
