"""What users bring in code: modules named on the command line, and what is in them by its dotted path."""

import inspect
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

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
        path = Path(name).expanduser().absolute()
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
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        name = getattr(function, "__qualname__", str(function))
        raise UserError(f"{key}: {name} cannot be called with {', '.join(arguments)}: {error}.") from error
    except ValueError:
        pass  # written in C, without a signature
    return function(**arguments)


def make(options: dict[str, Any], key: str) -> Any:
    """An object from ``{"_target_": dotted path, argument: value, ...}``.

    Raises:
        UserError: see ``find`` and ``call``.
    """
    if "_target_" not in options:
        raise UserError(f"{key}: an entry names what is yours, {{_target_: my_module.MyClass}}, and its arguments.")
    arguments = {name: value for name, value in options.items() if name != "_target_"}
    return call(find(options["_target_"], f"{key}._target_"), key, **arguments)


def make_own(section: DictConfig, name: str, **arguments: Any) -> Any:
    """What the section of a choice ``own`` names, called with ``arguments`` and its ``args``."""
    return call(find_own(section, name), f"{name}._target_", **arguments, **section.args)


def find_own(section: DictConfig, name: str) -> Callable:
    """The class or function that the section of a choice ``own`` names."""
    return find(section._target_, f"{name}._target_")


def _import(name: str, where: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # it is there, and itself wants one that is not
        raise UserError(
            f"{where}: there is no module {error.name} in {Path.cwd()} or among the installed packages."
        ) from error
