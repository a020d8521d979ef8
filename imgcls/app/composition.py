"""A program's configuration without its command line: for Python."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from omegaconf import Container, DictConfig, OmegaConf

from imgcls.app.model_group import register_sources
from imgcls.app.named_files import require_named_files
from imgcls.app.overrides import OPEN, canonical, python_value
from imgcls.app.own_directory import claim
from imgcls.app.program import conf_directory, typed, user_message
from imgcls.errors import UserError, as_shown


@contextlib.contextmanager
def composed(
    program: str, overrides: Sequence[str] = (), sections: Mapping[str, Any] | None = None, own_metrics: bool = False
) -> Iterator[tuple[DictConfig, Path]]:
    """The typed configuration of a program, and the directory it is to write to, while this context lasts.

    Args:
        overrides: as on the command line.
        sections: a group's choice by name, or a mapping of keys to values, which may hold mappings; ``name``
            in it is the group's choice.
        own_metrics: see ``check``.

    Raises:
        UserError: an unknown key, choice or value.
    """
    _require_texts(overrides)
    choices, values = _choices_and_values(sections or {}, program)
    register_sources()
    before = dict(Singleton._instances)
    for kind in (GlobalHydra, HydraConfig):  # those of a program that composes for another are left alone
        Singleton._instances.pop(kind, None)
    try:
        try:
            with hydra.initialize_config_dir(str(conf_directory()), version_base="1.3"):
                words = canonical([*choices, *overrides], program)
                config = hydra.compose(program, overrides=words, return_hydra_config=True)
                for key, value in values:
                    OmegaConf.update(config, key, value, force_add=bool(OPEN.match(key)))
                HydraConfig.instance().set_config(config)
                given = tuple(key for key, _ in values)
                result = require_named_files(typed(config, program, own_metrics, given))
            claim(config, given)
            directory = Path(config.hydra.run.dir)
            if "run" in result:
                result.run.name = directory.name
        except Exception as error:
            message = user_message(error, program)
            if message is None or isinstance(error, UserError):
                raise
            raise UserError(message) from error
        try:
            yield result, directory
        finally:
            with contextlib.suppress(OSError):
                directory.rmdir()  # where nothing was written
    finally:
        Singleton._instances.clear()
        Singleton._instances.update(before)


def _require_texts(overrides: Sequence[Any]) -> None:
    for one in overrides:
        if not isinstance(one, str):
            raise UserError(
                f"{as_shown(one)} is no override: give texts such as 'optimizer.lr=0.1', or sections by name as "
                "optimizer={'lr': 0.1}."
            )
        if one.startswith("-"):
            raise UserError(f"{one}: flags are for the command line. From Python there are overrides alone, key=value.")


def _choices_and_values(sections: Mapping[str, Any], program: str) -> tuple[list[str], list[tuple[str, Any]]]:
    choices, values = [], []
    for section, given in sections.items():
        if isinstance(given, str):
            choices.append(f"{section}={given}")
        elif isinstance(given, Mapping):
            own = dict(given)
            if section != "run" and "name" in own:
                choices.append(f"{section}={own.pop('name')}")
            elif "_target_" in own:
                choices.append(f"{section}=own")
            values += [python_value(key, value, program) for key, value in _flat(own, f"{section}.")]
        else:
            raise UserError(f"{section}={as_shown(given)}: give the name of a choice, or a mapping of keys to values.")
    return choices, values


def _flat(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if not isinstance(key, str):
            raise UserError(f"{prefix}{as_shown(key)}: a key must be a text.")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _plain(prefix + key, value)


def _plain(key: str, value: Any) -> Any:
    """A value of Python as a configuration holds it: paths as texts, numbers of NumPy, lists of any kind.

    Raises:
        UserError: it is of a kind that none can hold.
    """
    if isinstance(value, PurePath):
        return str(value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):  # an array, or one number of it
        value = value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain(key, one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(key, one) for name, one in value.items()}
    if not isinstance(value, bool | int | float | str | bytes | Enum | None | Container):
        kind = type(value).__name__
        raise UserError(f"{key}={as_shown(value)}: a {kind} is no value. Give a number, a text or a list.")
    return value
