"""The callback interface: Paddle's, with the batch, the state of a run and an interruption in view.

What ``Trainer.fit`` calls, and what ``self.trainer`` holds at that time::

    on_train_begin                  progress: where the run starts, from the beginning or from a checkpoint
    for each epoch:
      on_epoch_begin                progress.epoch: epochs finished before this one
      for each update:
        on_train_batch_begin        totals: of this epoch so far
        on_batch(batch) -> batch    progress.step: updates done before this one; the batch may be replaced
          (forward, backward, optimizer)
        on_train_batch_end          progress, totals, last_loss: this update included
      on_train_epoch_end            progress.epoch: this one included. The place for an evaluation
      on_epoch_end                  metrics: of this epoch's evaluation, {} where there was none
    on_train_end
    on_interrupt                    instead of all that would follow, after a signal

Each goes to the callbacks in the order of their list before the next event comes, so it does not
matter for what ``on_epoch_end`` sees whether a callback stands before or after ``Evaluation``.

``trainer.stop_training = True`` ends the run: within an epoch after the update under way, whose
epoch then ends early (``progress.batch`` is not 0), in ``on_epoch_end`` with this epoch. The events of
its end follow, so that it is evaluated and saved. Every rank has to decide the same; ``metrics`` and
``last_loss`` are equal on all of them.
"""

from typing import TYPE_CHECKING, Any

import paddle

from imgcls.engine.batch import Batch

if TYPE_CHECKING:
    from imgcls.engine.trainer import Trainer


class Callback(paddle.callbacks.Callback):
    """Paddle's events, and more that ``Trainer`` sends; on every rank, in the same order.

    Of Paddle's arguments, ``step`` and ``epoch`` count from where this process began, and ``logs`` is
    empty: ``self.trainer.progress`` says where the run is. On resume, ``load_tensors`` and ``load_values``
    receive what ``tensors`` and ``values`` returned when the checkpoint was written.
    """

    @property
    def name(self) -> str:
        """Key of this callback's state inside a checkpoint."""
        return type(self).__name__.lower()

    @property
    def trainer(self) -> "Trainer":
        return self.model

    def on_batch(self, batch: Batch) -> Batch:
        """See or replace a training batch (normalised, on the device) before the forward pass."""
        return batch

    def on_train_epoch_end(self) -> None:
        """The last batch of the epoch is done, or of the run; every callback's ``on_epoch_end`` comes after it."""

    def ended(self) -> str | None:
        """Of a run that was just restored: says so, where it had ended because of this callback."""

    def on_interrupt(self) -> None:
        """The run stops here because of a signal, to this rank or another."""

    def tensors(self) -> dict[str, paddle.Tensor]:
        return {}

    def load_tensors(self, tensors: dict[str, Any]) -> None:
        pass

    def values(self) -> dict[str, Any]:
        """JSON-serialisable state."""
        return {}

    def load_values(self, values: dict[str, Any]) -> None:
        pass
