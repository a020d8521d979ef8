"""Exponential moving average of the weights, batch-norm statistics included, in float32."""

from contextlib import contextmanager

import paddle

from imgcls.engine.callback import Callback
from imgcls.functional.averaging import ema_decay_at, start, update


class EMA(Callback):
    """Averages after every update and offers the averages as the weight view ``ema``.

    Of weights in half precision, what is averaged are their float32 masters.

    Args:
        decay: limit of the decay; early on it is ``(t + 1) / (t + 10)``.
    """

    def __init__(self, decay: float):
        super().__init__()
        self.decay = decay
        self.shadow: dict[str, paddle.Tensor] = {}
        self.current: dict[str, paddle.Tensor] = {}

    def on_train_begin(self, logs=None):
        self.current = {}
        if not self.shadow:
            self.shadow = start(self.trainer.weights())
        self.trainer.weight_views["ema"] = self.applied

    def on_train_batch_end(self, step, logs=None):
        if self.trainer.scaler.skipped_in_a_row:
            return
        if not self.current:  # masters exist from the first update on, and stay the same tensors
            self.current = self.trainer.weights()
        update(self.shadow, self.current, ema_decay_at(self.trainer.progress.step - 1, self.decay))

    @contextmanager
    def applied(self):
        """The network holds the averages inside this context, and its own weights again after it."""
        network = self.trainer.network.state_dict()
        own = {name: network[name].clone() for name in self.shadow}
        try:
            for name, average in self.shadow.items():
                network[name].set_value(average.astype(network[name].dtype))
            yield
        finally:
            for name, value in own.items():
                network[name].set_value(value)

    def tensors(self):
        return self.shadow

    def load_tensors(self, tensors):
        self.shadow = {name: paddle.to_tensor(value) for name, value in tensors.items()}
