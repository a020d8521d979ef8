"""A run's figures as TensorBoard shows them, with tensorboardX."""

from pathlib import Path

from imgcls.engine.callback import Callback
from imgcls.errors import UserError


class TensorBoard(Callback):
    """Scalars over updates: ``update/...`` while an epoch runs, ``epoch/...`` at its end, after its evaluation.

    A resumed run marks what was written after its checkpoint as outdated, and TensorBoard leaves it out.

    Args:
        directory: where the event file goes; a run that is resumed adds another.
        every: updates between two notes; each fetches the loss from the device.
        about: a line on what the numbers depend on, as the text ``system``.

    Raises:
        UserError: tensorboardX is not installed.
    """

    def __init__(self, directory: Path, every: int, about: str = ""):
        super().__init__()
        try:
            import tensorboardX
        except ImportError as error:
            raise UserError(
                'logger=tensorboard needs the package tensorboardX. Install it with: pip install "imgcls[tensorboard]"'
            ) from error
        self._open = tensorboardX.SummaryWriter
        self.directory = directory
        self.every = every
        self.about = about
        self.writer: tensorboardX.SummaryWriter | None = None

    def on_train_begin(self, logs=None):
        done = self.trainer.progress.step
        self.writer = self._open(str(self.directory), purge_step=done + 1 if done else None)
        if self.about:
            self.writer.add_text("system", self.about, done)

    def on_train_batch_end(self, step, logs=None):
        trainer, totals = self.trainer, self.trainer.totals
        if trainer.progress.step % self.every == 0:
            self._add(
                "update",
                loss=float(trainer.last_loss),
                lr=trainer.learning_rate,
                images_per_second=totals.images_per_second(),
                data_wait=totals.waiting_share(),
            )

    def on_epoch_end(self, epoch, logs=None):
        trainer, totals = self.trainer, self.trainer.totals
        evaluated = {f"val_{name}": value for name, value in trainer.metrics.items()}
        self._add("epoch", train_loss=totals.mean_loss(), **evaluated)

    def on_train_end(self, logs=None):
        self.writer.close()

    def on_interrupt(self):
        self.writer.close()

    def _add(self, group: str, **values: float) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{group}/{name}", value, self.trainer.progress.step)
        self.writer.flush()  # it is shown at once, and kept if the process is killed
