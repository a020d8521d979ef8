"""What a person sees while training: a bar with speed, data wait and loss, and a line an epoch."""

import logging
import sys

from tqdm import tqdm

from imgcls.engine.callback import Callback

log = logging.getLogger("imgcls")
WAIT_WARNING = 0.2


class ProgressBar(Callback):
    """On a terminal a bar; elsewhere a log line every ``every`` updates. Both show the same.

    Args:
        every: updates between two displays; each fetches the loss from the device.
    """

    def __init__(self, every: int):
        super().__init__()
        self.every = every
        self.bar: tqdm | None = None

    def on_epoch_begin(self, epoch, logs=None):
        trainer = self.trainer
        self.bar = tqdm(
            total=trainer.steps_per_epoch,
            initial=trainer.progress.batch,
            desc=f"epoch {trainer.progress.epoch + 1}/{trainer.epochs}",
            unit="step",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def on_train_batch_end(self, step, logs=None):
        self.bar.update()
        if self.trainer.progress.step % self.every == 0:
            status = self._status()
            self.bar.set_postfix_str(status)
            if self.bar.disable:
                progress = self.trainer.progress
                log.info("epoch %d step %d: %s", progress.epoch + 1, progress.step, status)

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        trainer, totals = self.trainer, self.trainer.totals
        shown = {"train_loss": totals.mean_loss(), **trainer.metrics}
        log.info(
            "epoch %d/%d: %s, %.0f img/s",
            trainer.progress.epochs_begun,
            trainer.epochs,
            ", ".join(f"{name} {value:.4f}" for name, value in shown.items()),
            totals.images_per_second(),
        )
        waited = totals.waiting_share()
        if waited > WAIT_WARNING and totals.seconds > 5:
            log.warning(
                "%.0f%% of the time was spent waiting for data. Raise trainer.num_workers, or make the pictures "
                "smaller on disk.",
                100 * waited,
            )

    def _status(self) -> str:
        trainer, totals = self.trainer, self.trainer.totals
        done = trainer.progress.epoch * trainer.steps_per_epoch + trainer.progress.batch
        left = trainer.epochs * trainer.steps_per_epoch - done
        batches = max(trainer.progress.batch, 1)
        eta = tqdm.format_interval(left * totals.seconds / batches)
        return (
            f"loss {float(trainer.last_loss):.4f}, lr {trainer.learning_rate:.3g}, "
            f"{totals.images_per_second():.0f} img/s, data wait {100 * totals.waiting_share():.0f}%, ETA {eta}"
        )
