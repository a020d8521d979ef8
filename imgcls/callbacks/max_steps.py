"""Ends a run after a number of updates, in the middle of an epoch if need be."""

from imgcls.engine.callback import Callback


class MaxSteps(Callback):
    """Args: ``max_steps``, updates in all, those before a resume included."""

    def __init__(self, max_steps: int):
        super().__init__()
        self.max_steps = max_steps

    def on_train_begin(self, logs=None):
        if self.trainer.progress.step >= self.max_steps:  # interrupted at the end of its last epoch
            self.trainer.stop_training = True

    def on_train_batch_end(self, step, logs=None):
        if self.trainer.progress.step >= self.max_steps:
            self.trainer.stop_training = True
