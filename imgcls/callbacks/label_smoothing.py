"""Label smoothing as a callback: training targets give ``epsilon`` of their mass to all classes."""

from dataclasses import replace

from imgcls.engine.callback import Callback


class LabelSmoothing(Callback):
    """Args: ``epsilon``, the mass moved to the uniform distribution. Evaluation is not touched."""

    def __init__(self, epsilon: float):
        super().__init__()
        self.epsilon = epsilon

    def on_batch(self, batch):
        return replace(batch, smoothing=self.epsilon)
