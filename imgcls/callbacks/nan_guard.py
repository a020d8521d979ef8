"""Stops a run whose loss, weights or float16 gradients are no longer finite."""

import math

import paddle

from imgcls.engine.callback import Callback
from imgcls.errors import UserError

ADVICE = (
    "Lower optimizer.lr, add warm-up (lr_schedule.warmup_epochs) or gradient clipping (optimizer.grad_clip_norm), "
    "and look at the data."
)


class NanGuard(Callback):
    """Looks at the epoch's summed loss, which keeps any NaN or infinity it has met on any rank, and at the weights.

    The loss alone does not tell: Paddle's ReLU makes 0 of NaN, so a network can be broken from its
    first layer on and still give a loss.

    Under float16 a single overflow is nothing: the loss scaler skips the update, and neither weights
    nor sums see it. Then only ``max_skipped`` of them in a row end the run.

    Args:
        every: updates between two looks; each fetches two numbers from the device. The end of an
            epoch comes after a look; a checkpoint within one is refused by ``Checkpoint`` itself.
        max_skipped: updates in a row that may be skipped.
    """

    def __init__(self, every: int, max_skipped: int):
        super().__init__()
        self.every = every
        self.max_skipped = max_skipped

    def on_train_batch_end(self, step, logs=None):
        trainer = self.trainer
        if trainer.progress.step % self.every == 0:
            self._look()
        if trainer.scaler.skipped_in_a_row >= self.max_skipped:
            raise UserError(
                f"The gradients were not finite in {self.max_skipped} updates in a row (loss scale now "
                f"{trainer.scaler.scale_now:g}). None of them changed the weights, and the last checkpoint is good. "
                f"{ADVICE} trainer.amp.level=O0 trains in float32."
            )

    def on_train_epoch_end(self):
        self._look()

    def on_interrupt(self):
        self._look()

    def _look(self) -> None:
        if not math.isfinite(float(self.trainer.totals.loss)):
            broken = "The loss is"
        elif not math.isfinite(float(total(self.trainer.weights()))):
            broken = "The weights are"
        else:
            return
        raise UserError(
            f"{broken} not finite (NaN or infinity) after {self.trainer.progress.step} updates, within the "
            f"last {self.every}. The last checkpoint is from before that. {ADVICE}"
        )


@paddle.no_grad()
def total(tensors: dict[str, paddle.Tensor]) -> paddle.Tensor:
    """The sum of everything, on the device: finite if, and for weights only if, all of it is."""
    return paddle.stack([tensor.sum() for tensor in tensors.values() if tensor.is_floating_point()]).sum()
