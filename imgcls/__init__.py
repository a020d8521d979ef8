"""Image classification on PaddlePaddle: 153 networks of the original and 116 modern ones, training, evaluation, export.

Importing this package is cheap: it sets the CPU up (see ``imgcls.machine.cpu``) and leaves Paddle to be
imported by the first call that needs it.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from imgcls.api import (
    TrainingRun,
    create_model,
    list_models,
    load_predictor,
    model_info,
    preprocessing,
    register_model,
    train,
)
from imgcls.errors import Interrupted, UserError
from imgcls.machine import cpu

cpu.tune()

__version__ = "2.0.0"
WITH_PADDLE = {"Callback": "imgcls.engine.callback", "Trainer": "imgcls.engine.trainer"}
"""Classes that others derive from, imported when they are asked for; the module of each."""

__all__ = [
    "Callback",
    "Interrupted",
    "Trainer",
    "TrainingRun",
    "UserError",
    "__version__",
    "create_model",
    "list_models",
    "load_predictor",
    "model_info",
    "preprocessing",
    "register_model",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in WITH_PADDLE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from imgcls.machine.installation import require_paddle

    require_paddle()
    return getattr(import_module(WITH_PADDLE[name]), name)


class _Package(ModuleType):
    """``imgcls.train`` is the function, also after the program's module of that name has been imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name == "train" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
