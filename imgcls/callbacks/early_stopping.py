"""Ends a run when an evaluation's figure has not become better for some epochs."""

import logging

from imgcls.engine.callback import Callback
from imgcls.functional.monitoring import direction
from imgcls.functional.patience import Patience

log = logging.getLogger("imgcls")


class EarlyStopping(Callback):
    """Looks at ``trainer.metrics`` after every epoch that was evaluated; all ranks see the same.

    Args:
        patience: evaluations without a better figure before the run ends.
        min_delta: by how much a figure must be better to count.
        monitor: its name.
        mode: see ``direction``.
    """

    def __init__(self, patience: int, min_delta: float, monitor: str, mode: str = "auto"):
        super().__init__()
        self.monitor = monitor
        self.account = Patience(patience, direction(monitor, mode), min_delta)

    def on_epoch_end(self, epoch, logs=None):
        trainer = self.trainer
        value = trainer.metrics.get(self.monitor)
        if value is not None and self.account.look(value) and trainer.progress.epoch < trainer.epochs:
            trainer.stop_training = True
            if trainer.ranks.first:
                log.info("%s: the run ends", self._reason())

    def ended(self):
        if not self.account.exhausted:
            return None
        return (
            f"Nothing is left to do, the run has ended: {self._reason()}. With a larger "
            "callbacks.early_stopping.patience it goes on."
        )

    def values(self):
        return {"monitor": self.monitor, **self.account.state()}

    def load_values(self, values):
        if values["monitor"] == self.monitor:
            self.account.load(values)

    def _reason(self) -> str:
        best = "a number" if self.account.best is None else f"better than {self.account.best:.4f}"
        return f"{self.monitor} has not been {best} for {self.account.waited} evaluations"
