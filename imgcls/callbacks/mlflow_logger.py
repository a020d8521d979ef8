"""A run's figures in MLflow: in a directory beside the runs, or where ``MLFLOW_TRACKING_URI`` says."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgcls.callbacks.logger import Logger, known_as, log, package, remember
from imgcls.errors import UserError
from imgcls.run.settings import flat

SERVICE = "mlflow"
NOT_IN_NAMES = re.compile(r"[^\w.\- :/]")
LONGEST, AT_ONCE = 500, 100
"""Characters of a parameter, and parameters in one request."""


class MLflow(Logger):
    """A run of an experiment; one that goes on is the same run there.

    Args:
        project: the experiment's name, made if it is not there.
        about: a line on what the numbers depend on, the tag ``system``.
        config: the run's configuration, its parameters.

    Raises:
        UserError: mlflow is not installed; at the start, its server cannot be reached.
    """

    def __init__(
        self, directory: Path, every: int, project: str, about: str = "", config: Mapping[str, Any] | None = None
    ):
        super().__init__(directory, every)
        self.mlflow = package("mlflow", SERVICE)
        self.entities = package("mlflow.entities", SERVICE)
        self.project, self.about, self.config = project, about, config or {}
        self.client: Any = None
        self.run = ""

    def begin(self, step):
        place = os.environ.get("MLFLOW_TRACKING_URI")
        if not place:
            place = (self.directory.absolute().parent / "mlruns").as_uri()
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # newer ones ask for this word
        try:
            self.client = package("mlflow.tracking", SERVICE).MlflowClient(tracking_uri=place)
            known = known_as(self.directory, SERVICE)
            self.run = self._go_on(known) if known else self._new()
        except self.mlflow.exceptions.MlflowException as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"logger=mlflow: {reason} MLFLOW_TRACKING_URI is {place}.") from error
        log.info("mlflow: run %s of experiment %s in %s", self.run, self.project, place)

    def add(self, figures, step):
        now = int(time.time() * 1000)
        values = [self.entities.Metric(_named(name), value, now, step) for name, value in figures.items()]
        self.client.log_batch(self.run, metrics=values)

    def attach(self, files, step):
        for file in files:
            self.client.log_artifact(self.run, str(file), "pictures")

    def end(self, finished):
        self.client.set_terminated(self.run, "FINISHED" if finished else "KILLED")

    def _new(self) -> str:
        tags = {"system": self.about}
        run = self.client.create_run(self._experiment(), run_name=self.directory.name, tags=tags).info.run_id
        remember(self.directory, SERVICE, run)
        settings = {key: value for key, value in flat(dict(self.config)).items() if value is not None}
        params = [self.entities.Param(_named(key), str(value)[:LONGEST]) for key, value in settings.items()]
        for start in range(0, len(params), AT_ONCE):
            self.client.log_batch(run, params=params[start : start + AT_ONCE])
        return run

    def _experiment(self) -> str:
        """Its number."""
        find = self.client.get_experiment_by_name
        try:
            known = find(self.project)
            return known.experiment_id if known else self.client.create_experiment(self.project)
        except self.mlflow.exceptions.MlflowException:
            if (known := find(self.project)) is None:
                raise
            return known.experiment_id  # another job of the sweep was faster

    def _go_on(self, run: str) -> str:
        self.client.update_run(run, status="RUNNING")
        return run


def _named(name: str) -> str:
    """A name as it is allowed there: class names may hold other signs."""
    return NOT_IN_NAMES.sub("_", name)
