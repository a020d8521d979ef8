"""Modules that users bring, and what is in them, by dotted path."""

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from imgcls.errors import UserError
from imgcls.machine.installation import require_paddle


def import_modules(names: Iterable[str]) -> None:
    """Import modules, which register networks or hold what ``_target_`` names.

    Args:
        names: as in an import statement, found from the working directory on; or paths of ``.py`` files.

    Raises:
        UserError: there is no such module. What goes wrong inside of one keeps its traceback.
    """
    for name in names:
        require_paddle()  # before they import it: its messages, and the CPU's settings
        if not name.endswith(".py"):
            _import(name, f"imports=[{name}]")
            continue
        path = Path(os.path.expanduser(name)).absolute()
        if not path.is_file():
            raise UserError(f"imports=[{name}]: there is no such file.")
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))  # for this process and those it starts
        _import(path.stem, f"imports=[{name}]")


def find(path: str, key: str) -> Callable:
    """The class or function at a dotted path.

    Args:
        key: of the configuration, for the message.

    Raises:
        UserError: there is none.
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise UserError(f"{key}={path}: give module and name, such as my_module.{path}.")
    found = getattr(_import(module, f"{key}={path}"), name, None)
    if not callable(found):
        raise UserError(f"{key}={path}: there is no class or function {name} in {module}.")
    return found


def call(function: Callable, key: str, **arguments: Any) -> Any:
    """Call what a user has written.

    Raises:
        UserError: it does not take these arguments; whatever it raises itself passes.
    """
    require_takes(function, key, *arguments)
    return function(**arguments)


def require_takes(function: Callable, key: str, *arguments: str) -> None:
    """Refuse a function that cannot be called with arguments of these names.

    Raises:
        UserError: it cannot.
    """
    try:
        inspect.signature(function).bind(**dict.fromkeys(arguments))
    except TypeError as error:
        name = getattr(function, "__qualname__", str(function))
        raise UserError(f"{key}: {name} cannot be called with {', '.join(arguments)}: {error}.") from error
    except ValueError:
        pass  # written in C, without a signature


def _import(name: str, where: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, and itself wants one that is not
        raise UserError(
            f"{where}: there is no module {error.name} in {Path.cwd()} or among the installed packages."
        ) from error
