"""What a person sees while training: a bar with loss, speed and time left, and a line an epoch."""

import logging
from typing import TYPE_CHECKING

from imgcls.engine.callback import Callback
from imgcls.machine.progress import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

log = logging.getLogger("imgcls")
WAIT_WARNING = 0.2
LINE_WIDTH = 80
BAR = "{desc} |{bar}| {n_fmt}/{total_fmt}{postfix}"


class ProgressBar(Callback):
    """On a terminal and in a notebook a bar; elsewhere log lines: of the first update, and of every so many in long
    epochs.

    Args:
        every: updates between two looks at the loss, which is fetched from the device; an epoch of no more
            updates has one line, at its end.
    """

    def __init__(self, every: int):
        super().__init__()
        self.every = every
        self.bar: tqdm | None = None
        self.loss: float | None = None

    def on_epoch_begin(self, epoch, logs=None):
        trainer = self.trainer
        self.bar = progress_bar(
            total=trainer.steps_per_epoch,
            initial=trainer.progress.batch,
            desc=f"epoch {trainer.progress.epoch + 1}/{trainer.epochs}",
            bar_format=BAR,
        )

    def on_train_batch_end(self, step, logs=None):
        trainer, progress = self.trainer, self.trainer.progress
        first = self.loss is None
        if first or progress.step % self.every == 0:
            self.loss = float(trainer.last_loss)
            if self.bar.disable and (first or trainer.steps_per_epoch > self.every):
                log.info("epoch %d step %d: %s", progress.epoch + 1, progress.step, ", ".join(self._status()))
        if not self.bar.disable:
            self.bar.set_postfix_str(" ".join(self._status()).replace("data wait", "wait"), refresh=False)
            self.bar.update()
            if first:
                self.bar.refresh()
        if progress.batch >= trainer.steps_per_epoch:
            self.bar.close()  # makes room for that of the evaluation

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        totals = self.trainer.totals
        log.info("%s", self._line())
        waited = totals.waiting_share()
        if waited > WAIT_WARNING and totals.seconds > 5:
            log.warning(
                "%.0f%% of the time was spent waiting for data. Raise trainer.num_workers, or make the pictures "
                "smaller on disk.",
                100 * waited,
            )

    def on_interrupt(self):
        self.bar.close()

    def _line(self) -> str:
        """The epoch in a line that a terminal of 80 columns shows whole; ``metrics.csv`` has all of its figures."""
        trainer, totals = self.trainer, self.trainer.totals
        speed = f"{totals.images_per_second():.0f} img/s"
        figures = {"train_loss": totals.mean_loss(), **trainer.metrics}
        ranking = sorted(figures, key=_rank)
        for count in range(len(ranking), 0, -1):
            shown = [f"{name} {value:.4f}" for name, value in figures.items() if name in ranking[:count]]
            line = f"epoch {trainer.progress.epochs_begun}/{trainer.epochs}: {', '.join([*shown, speed])}"
            if len(line) <= LINE_WIDTH:
                break
        return line

    def _status(self) -> list[str]:
        trainer, totals = self.trainer, self.trainer.totals
        done = trainer.progress.epoch * trainer.steps_per_epoch + trainer.progress.batch
        left = trainer.epochs * trainer.steps_per_epoch - done
        batches = max(trainer.progress.batch, 1)
        eta = self.bar.format_interval(left * totals.seconds / batches)
        return [
            f"loss {self.loss:.4f}",
            f"lr {trainer.learning_rate:.3g}",
            f"{totals.images_per_second():.0f} img/s",
            f"data wait {100 * totals.waiting_share():.0f}%",
            f"ETA {eta}",
        ]


def _rank(name: str) -> int:
    """What a line leaves out last comes first."""
    if name == "train_loss" or name.split("_")[0] == "top1":
        return 0
    return 1 if name == "loss" else 2 if name.startswith("top") else 3
