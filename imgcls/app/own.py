"""Sections and entries of a configuration that name what a user has written."""

import inspect
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from imgcls.errors import UserError
from imgcls.machine.modules import call, find, require_takes

GIVEN = {
    "data": ("split",),
    "loss": ("logits", "labels"),
    "optimizer": ("learning_rate", "parameters", "grad_clip"),
    "lr_schedule": ("base_lr", "steps_per_epoch", "epochs"),
}
"""What the user's own of each section is called with, beside its ``args``."""


def make(options: dict[str, Any], key: str) -> Any:
    """An object from ``{"_target_": dotted path, argument: value, ...}``.

    Raises:
        UserError: see ``find`` and ``call``.
    """
    if "_target_" not in options:
        raise UserError(f"{key}: an entry names what is yours, {{_target_: my_module.MyClass}}, and its arguments.")
    arguments = {name: value for name, value in options.items() if name != "_target_"}
    return call(find(options["_target_"], f"{key}._target_"), key, **arguments)


def require_own(config: DictConfig) -> None:
    """Look for everything that a training configuration names of the user's, before anything is written.

    Raises:
        UserError: something is not there, or does not take its arguments.
    """
    for name, given in GIVEN.items():
        if config[name].name == "own":
            found = find_own(config[name], name)
            is_made_first = name == "loss" and inspect.isclass(found)
            require_takes(found, f"{name}._target_", *(() if is_made_first else given), *config[name].args)


def make_own(section: DictConfig, name: str, **arguments: Any) -> Any:
    """What the section of a choice ``own`` names, called with ``arguments`` and its ``args``."""
    return call(find_own(section, name), f"{name}._target_", **arguments, **section.args)


def find_own(section: DictConfig, name: str) -> Callable:
    """The class or function that the section of a choice ``own`` names."""
    return find(section._target_, f"{name}._target_")
