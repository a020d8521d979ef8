"""Mixup as a callback: blends each image of a training batch with another, on the device."""

from imgcls.callbacks.mixing import Mixing
from imgcls.functional.mixing import mixup


class Mixup(Mixing):
    """Takes every batch that CutMix has left.

    Args:
        alpha: of the Beta distribution the share is drawn from, once per batch.
        stop_epoch: see ``Mixing``.
    """

    def __init__(self, alpha: float, stop_epoch: int | None):
        super().__init__(1.0, stop_epoch)
        self.alpha = alpha

    def mix(self, images, labels, rng, partners):
        return mixup(images, labels, self.alpha, rng, partners)
