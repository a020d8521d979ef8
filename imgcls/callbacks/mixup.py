"""Mixup as a callback: blends each training batch with a permutation of itself, on the device."""

from dataclasses import replace

import numpy as np

from imgcls.callbacks.base import Callback
from imgcls.mixing import mixup


class Mixup(Callback):
    """Args: ``alpha`` of the Beta distribution the share is drawn from, once per batch."""

    def __init__(self, alpha: float = 0.2):
        super().__init__()
        self.alpha = alpha

    def on_batch(self, batch):
        trainer = self.trainer
        rng = np.random.default_rng([trainer.seed, trainer.progress.step, trainer.rank])
        images, partner_labels, lam = mixup(batch.images, batch.labels, self.alpha, rng)
        return replace(batch, images=images, partner_labels=partner_labels, lam=lam)
