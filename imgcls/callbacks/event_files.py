"""A run's figures in files that a viewer shows: TensorBoard's, written with tensorboardX, and VisualDL's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcls.callbacks.logger import Logger, package, pixels


class EventFiles(Logger):
    """A file below the run's directory; a run that is resumed adds another.

    A subclass opens the writer; both packages' have the same methods.

    Args:
        about: a line on what the numbers depend on, as the text ``system``.
        config: the run's; not shown.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self, directory: Path, every: int, about: str = "", config: Mapping[str, Any] | None = None):
        super().__init__(directory, every)
        self.about = about
        self.writer: Any = None

    def writer_from(self, step: int) -> Any:
        """The writer of a run that starts, or goes on after so many updates."""
        raise NotImplementedError

    def begin(self, step):
        self.writer = self.writer_from(step)
        if self.about:
            self.writer.add_text("system", self.about, step)

    def add(self, figures, step):
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)

    def attach(self, files, step):
        for file in files:
            if file.suffix == ".png":
                self.writer.add_image(f"pictures/{file.stem}", pixels(file), step, dataformats="HWC")

    def end(self, finished):
        self.writer.close()


class TensorBoard(EventFiles):
    """An event file for TensorBoard.

    A resumed run marks what was written after its checkpoint as outdated, and TensorBoard leaves it out.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._open = package("tensorboardX", "tensorboard").SummaryWriter

    def writer_from(self, step):
        return self._open(str(self.directory / "tensorboard"), purge_step=step + 1 if step else None)

    def add(self, figures, step):
        super().add(figures, step)
        self.writer.flush()  # it is shown at once, and kept if the process is killed

    def attach(self, files, step):
        super().attach(files, step)
        self.writer.flush()


class VisualDL(EventFiles):
    """A log file for VisualDL."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._open = package("visualdl", "visualdl").LogWriter

    def writer_from(self, step):
        return self._open(logdir=str(self.directory / "visualdl"))
