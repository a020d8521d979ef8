"""Notes the loss of every update of a learning-rate range test, and ends it when the loss runs away."""

import math

from imgcls.engine.callback import Callback
from imgcls.machine.progress import progress_bar


class LRRange(Callback):
    """Comes after ``LRSchedule``.

    Args:
        steps: updates in all.
        stop_factor: times the lowest loss, averaged over the last updates, at which the test ends.
    """

    MOMENTUM = 0.8

    def __init__(self, steps: int, stop_factor: float):
        super().__init__()
        self.steps = steps
        self.stop_factor = stop_factor
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.rate = 0.0
        self.average = 0.0
        self.lowest = math.inf
        self.bar = None

    def on_train_begin(self, logs=None):
        self.bar = progress_bar(total=self.steps, desc="learning rates")

    def on_batch(self, batch):
        self.rate = self.trainer.learning_rate
        return batch

    def on_train_batch_end(self, step, logs=None):
        loss = float(self.trainer.last_loss)
        self.rates.append(self.rate)
        self.losses.append(loss)
        self.bar.update()
        done = len(self.losses)
        self.average = self.MOMENTUM * self.average + (1 - self.MOMENTUM) * loss
        average = self.average / (1 - self.MOMENTUM**done)
        self.lowest = min(self.lowest, average)
        broken = not math.isfinite(loss) or average > self.stop_factor * self.lowest
        if done >= self.steps or broken:
            self.trainer.stop_training = True

    def on_train_end(self, logs=None):
        self.bar.close()

    def on_interrupt(self):
        self.bar.close()
