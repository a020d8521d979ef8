"""The callback interface: Paddle's, with the batch, the state of a run and an interruption in view."""

from typing import TYPE_CHECKING, Any

import paddle

if TYPE_CHECKING:
    from imgcls.engine.trainer import Batch, Trainer


class Callback(paddle.callbacks.Callback):
    """Paddle's events, and more that ``Trainer`` sends; on every rank, in the same order.

    ``self.trainer.progress`` says where the run is. On resume, ``load_tensors`` and ``load_values``
    receive what ``tensors`` and ``values`` returned when the checkpoint was written.
    """

    @property
    def name(self) -> str:
        """Key of this callback's state inside a checkpoint."""
        return type(self).__name__.lower()

    @property
    def trainer(self) -> "Trainer":
        return self.model

    def on_batch(self, batch: "Batch") -> "Batch":
        """See or replace a training batch (normalised, on the device) before the forward pass."""
        return batch

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
