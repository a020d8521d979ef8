"""A directory for each job and each sweep that nobody has named: its own, also when many start in one second."""

import contextlib
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from imgcls.app.program import check_before_writing, report
from imgcls.app.quoting import quoted
from imgcls.errors import UserError
from imgcls.machine.files import make_own_directory
from imgcls.run.lock import held


class OwnDirectory(Callback):
    """A Hydra callback: makes the directory that is called by the time, or beside it one ending in -2, -3, ...

    Not before the configuration has been checked.
    """

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # what goes to the processes of a launcher holds nothing there

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        check_before_writing(config)
        claim(config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        overrides = config.hydra.overrides.hydra
        directory = Path(config.hydra.sweep.dir)
        with contextlib.suppress(OSError):  # Hydra fails at it, too, and that is reported
            if any(override.lstrip("+").startswith("hydra.sweep.dir=") for override in overrides):
                directory.mkdir(parents=True, exist_ok=True)
            else:
                directory = make_own_directory(directory)
                with read_write(config), open_dict(config):
                    config.hydra.sweep.dir = str(directory)
                    overrides.append(f"hydra.sweep.dir={quoted(str(directory))}")  # each job's is made of these
            try:
                self._held.enter_context(held(directory))
            except UserError as error:
                raise SystemExit(report(error)) from error  # Hydra makes a warning of any other

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self._held.close()


def claim(config: DictConfig, given: tuple[str, ...] = ()) -> None:
    """Give the job a directory of its own and let ``run.name`` say which, unless the command names one.

    Args:
        config: composed, with Hydra's own section.
        given: keys that are set beside those of the overrides.
    """
    overrides = config.hydra.overrides
    keys = [override.lstrip("+").partition("=")[0] for override in (*overrides.task, *overrides.hydra)]
    if {"run.name", "hydra.run.dir"}.intersection((*keys, *given)):
        return
    with contextlib.suppress(OSError):
        own = make_own_directory(Path(config.hydra.run.dir))
        with read_write(config), open_dict(config):
            config.run.name = own.name
