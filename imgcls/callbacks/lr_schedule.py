"""The learning-rate schedule as a callback: one step of the scheduler per update."""

import paddle

from imgcls.engine.callback import Callback
from imgcls.machine.paddle_internals import lr_scheduler


class LRSchedule(Callback, paddle.callbacks.LRScheduler):
    """Steps the optimizer's scheduler after each update, and puts it where a resumed run is."""

    def __init__(self):
        super().__init__()

    def on_train_begin(self, logs=None):
        self._scheduler.step(self.trainer.progress.step)

    def on_train_batch_end(self, step, logs=None):
        self._scheduler.step(self.trainer.progress.step)

    def on_epoch_end(self, epoch, logs=None):
        """Nothing: the inherited callback would step once more."""

    @property
    def _scheduler(self) -> paddle.optimizer.lr.LRScheduler:
        return lr_scheduler(self.trainer.optimizer)
