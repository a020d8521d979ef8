"""Mixup as a callback: blends each training batch with itself in another order, on the device."""

from dataclasses import replace

import numpy as np

from imgcls.callbacks.base import Callback
from imgcls.mixing import mixup, partners_in_groups

MOST_GROUPS = 64


class Mixup(Callback):
    """The result does not depend on the number of ranks, if that is a power of two up to 64.

    Args:
        alpha: of the Beta distribution the share is drawn from, once per batch.
    """

    def __init__(self, alpha: float = 0.2):
        super().__init__()
        self.alpha = alpha

    def on_batch(self, batch):
        trainer = self.trainer
        rng = np.random.default_rng([trainer.seed, trainer.progress.step])
        groups = mixing_groups(trainer.global_batch_size, batch.ranks)
        partners = partners_in_groups(batch.global_size, groups, rng, batch.rank, batch.ranks)
        images, partner_labels, lam = mixup(batch.images, batch.labels, self.alpha, rng, partners)
        return replace(batch, images=images, partner_labels=partner_labels, lam=lam)


def mixing_groups(global_batch_size: int, ranks: int) -> int:
    """Groups a batch is mixed in: as many as leave two images each, and a multiple of ``ranks``."""
    groups = 1
    while groups * 4 <= global_batch_size and groups < MOST_GROUPS:
        groups *= 2
    return groups if groups % ranks == 0 else ranks
