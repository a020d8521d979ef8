"""A run's figures as VisualDL shows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcls.callbacks.logger import Logger, package, pixels


class VisualDL(Logger):
    """A log file for VisualDL; a run that is resumed adds another.

    Args:
        about: a line on what the numbers depend on, as the text ``system``.
        config: the run's; not shown.

    Raises:
        UserError: visualdl is not installed.
    """

    def __init__(self, directory: Path, every: int, about: str = "", config: Mapping[str, Any] | None = None):
        super().__init__(directory, every)
        self._open = package("visualdl", "visualdl").LogWriter
        self.about = about
        self.writer: Any = None

    def begin(self, step):
        self.writer = self._open(logdir=str(self.directory / "visualdl"))
        if self.about:
            self.writer.add_text("system", self.about, step)

    def add(self, figures, step):
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)

    def attach(self, files, step):
        for file in files:
            if file.suffix == ".png":
                self.writer.add_image(f"pictures/{file.stem}", pixels(file), step)

    def end(self, finished):
        self.writer.close()
