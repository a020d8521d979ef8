"""CutMix as a callback: pastes a rectangle of another image over each of a training batch, on the device."""

from imgcls.callbacks.mixing import Mixing
from imgcls.functional.mixing import cutmix


class CutMix(Mixing):
    """Comes before mixup, which takes the batches that are left.

    Args:
        alpha: of the Beta distribution the share to keep is drawn from, once per batch.
        switch_prob: probability that a batch is CutMix's.
        stop_epoch: see ``Mixing``.
    """

    def __init__(self, alpha: float, switch_prob: float, stop_epoch: int | None):
        super().__init__(switch_prob, stop_epoch)
        self.alpha = alpha

    def mix(self, images, labels, rng, partners):
        return cutmix(images, labels, self.alpha, rng, partners)
