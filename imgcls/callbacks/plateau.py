"""Lowers the learning rate when an evaluation's figure has not become better for some epochs."""

import logging

from imgcls.engine.callback import Callback
from imgcls.functional.monitoring import direction
from imgcls.functional.patience import Patience
from imgcls.machine.paddle_internals import lr_scheduler

log = logging.getLogger("imgcls")


class Plateau(Callback):
    """Notes the updates from which on the rate is lower; the schedule ``plateau`` reads them.

    Args:
        drops: the list that the schedule was made with; grows here.
        patience: evaluations without a better figure before the rate drops.
        cooldown: evaluations after a drop that are not counted.
        min_delta: by how much a figure must be better to count.
        monitor: its name.
        mode: see ``direction``.
    """

    def __init__(
        self, drops: list[int], patience: int, cooldown: int, min_delta: float, monitor: str, mode: str = "auto"
    ):
        super().__init__()
        self.drops = drops
        self.cooldown = cooldown
        self.monitor = monitor
        self.account = Patience(patience, direction(monitor, mode), min_delta)
        self.cooling = 0

    def on_epoch_end(self, epoch, logs=None):
        trainer = self.trainer
        value = trainer.metrics.get(self.monitor)
        if value is None:
            return
        exhausted = self.account.look(value)
        if self.cooling:
            self.cooling -= 1
            self.account.waited = 0
        elif exhausted:
            before = trainer.learning_rate
            self.drops.append(trainer.progress.step)
            self.account.waited, self.cooling = 0, self.cooldown
            lr_scheduler(trainer.optimizer).step(trainer.progress.step)
            if trainer.ranks.first and trainer.learning_rate < before:
                log.info(
                    "%s has not been better than %.4f: learning rate %.3g, not %.3g",
                    *(self.monitor, self.account.best, trainer.learning_rate, before),
                )

    def values(self):
        return {"monitor": self.monitor, "drops": self.drops, "cooling": self.cooling, **self.account.state()}

    def load_values(self, values):
        self.drops[:] = values["drops"]
        if values["monitor"] == self.monitor and self.account.load(values):
            self.cooling = values["cooling"]
