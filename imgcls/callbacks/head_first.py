"""Ends the part of a run that trains the head alone."""

import logging
from collections.abc import Callable

from imgcls.engine.callback import Callback
from imgcls.machine.paddle_internals import lr_scheduler

log = logging.getLogger("imgcls")


class HeadFirst(Callback):
    """From its epoch on everything is trained (LP-FT, arXiv:2202.10054). Comes before all other callbacks.

    Args:
        epochs: that train the head alone.
        train_all: makes it so, with an optimizer that has no past.
    """

    def __init__(self, epochs: int, train_all: Callable[[], None]):
        super().__init__()
        self.epochs = epochs
        self.train_all = train_all

    def on_epoch_begin(self, epoch, logs=None):
        trainer = self.trainer
        if trainer.on_features and trainer.progress.epoch >= self.epochs:
            self.train_all()
            lr_scheduler(trainer.optimizer).step(trainer.progress.step)
            log.info("everything is trained from here on, at a learning rate of %.3g", trainer.learning_rate)
