"""A run's figures in Weights & Biases, or in its offline files below the run's directory."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcls.callbacks.logger import Logger, known_as, log, new_name, package, remember
from imgcls.errors import UserError

SERVICE = "wandb"
OFFLINE = ("offline", "dryrun")


class WandB(Logger):
    """A run of a project; one that goes on is the same run there.

    ``WANDB_MODE``, ``WANDB_ENTITY``, ``WANDB_API_KEY`` and the package's other variables hold.

    Args:
        project: that it is listed in.
        about: a line on what the numbers depend on.
        config: the run's configuration, shown beside it.

    Raises:
        UserError: wandb is not installed; at the start, it cannot be reached or nobody is logged in.
    """

    def __init__(
        self, directory: Path, every: int, project: str, about: str = "", config: Mapping[str, Any] | None = None
    ):
        super().__init__(directory, every)
        self.wandb = package("wandb", SERVICE)
        self.project = project
        self.config = {"system": about, **(config or {})}
        self.run: Any = None

    def begin(self, step):
        name = known_as(self.directory, SERVICE) or new_name()
        remember(self.directory, SERVICE, name)
        try:
            self.run = self.wandb.init(
                project=self.project,
                name=self.directory.name,
                id=name,
                resume=None if os.environ.get("WANDB_MODE") in OFFLINE else "allow",
                dir=str(self.directory),
                config=self.config,
                settings=self.wandb.Settings(console="off", silent=True),
            )
        except self.wandb.Error as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"logger=wandb: {reason.rstrip('.')}. Or set WANDB_MODE=offline, which keeps the figures "
                f"in {self.directory / 'wandb'} until 'wandb sync' is called."
            ) from error
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")  # a run that goes on may come back to an update
        log.info("wandb: %s", Path(self.run.dir).parent if self.run.offline else self.run.url)

    def add(self, figures, step):
        self.run.log({**figures, "step": step})

    def attach(self, files, step):
        shown = {f"pictures/{file.stem}": self.wandb.Image(str(file)) for file in files if file.suffix == ".png"}
        pages = {f"pages/{file.stem}": self.wandb.Html(str(file)) for file in files if file.suffix == ".html"}
        self.run.log({**shown, **pages, "step": step})

    def end(self, finished):
        self.run.finish(exit_code=0 if finished else 1)
