"""Stops a run whose loss is no longer finite."""

import math

from imgcls.callbacks.base import Callback
from imgcls.errors import UserError


class NanGuard(Callback):
    """Looks at the epoch's summed loss, which keeps any NaN or infinity it has met.

    Args:
        every: updates between two looks; each fetches one number from the device. The end of an
            epoch and every checkpoint come after a look, so that none is saved from a broken run.
    """

    def __init__(self, every: int = 10):
        super().__init__()
        self.every = every

    def on_train_batch_end(self, step, logs=None):
        if self.trainer.progress.step % self.every == 0:
            self._look()

    def on_epoch_end(self, epoch, logs=None):
        self._look()

    def on_interrupt(self):
        self._look()

    def _look(self) -> None:
        if not math.isfinite(float(self.trainer.totals.loss)):
            raise UserError(
                f"The loss is not finite (NaN or infinity) after {self.trainer.progress.step} updates, within the "
                f"last {self.every}. The last checkpoint is from before that. Lower optimizer.lr, add warm-up "
                "(lr_schedule.warmup_epochs) or gradient clipping (optimizer.grad_clip_norm), and look at the data."
            )
