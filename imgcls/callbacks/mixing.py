"""What mixup and CutMix share as callbacks: which batches they take, and which images meet in them."""

from dataclasses import replace

import numpy as np
import paddle

from imgcls.engine.callback import Callback
from imgcls.engine.rng import generator_of
from imgcls.functional.mixing import Mixed, partners_in_groups

MOST_GROUPS = 64


class Mixing(Callback):
    """Mixes a training batch with itself in another order, unless another callback has mixed it already.

    The result does not depend on the number of ranks, if that is a power of two up to 64.

    Args:
        probability: share of the batches that it takes; the others go to the next of its kind, or stay plain.
        stop_epoch: the first epoch without mixing, counted from 1 as in the log; ``None`` for never.
    """

    def __init__(self, probability: float, stop_epoch: int | None):
        super().__init__()
        self.probability = probability
        self.stop_epoch = stop_epoch

    def mix(
        self, images: paddle.Tensor, labels: paddle.Tensor, rng: np.random.Generator, partners: np.ndarray
    ) -> Mixed:
        """Mix each image ``[N, C, H, W]`` with its partner."""
        raise NotImplementedError

    def on_batch(self, batch):
        trainer = self.trainer
        stopped = self.stop_epoch is not None and trainer.progress.epoch + 1 >= self.stop_epoch
        if stopped or batch.partner_labels is not None:
            return batch
        rng = generator_of(self)
        if rng.random() >= self.probability:
            return batch
        groups = mixing_groups(trainer.global_batch_size, batch.ranks)
        partners = partners_in_groups(batch.global_size, groups, rng, batch.rank, batch.ranks)
        images, partner_labels, lam = self.mix(batch.images, batch.labels, rng, partners)
        return replace(batch, images=images, partner_labels=partner_labels, lam=lam)


def mixing_groups(global_batch_size: int, ranks: int) -> int:
    """Groups a batch is mixed in: as many as leave two images each, and a multiple of ``ranks``."""
    groups = 1
    while groups * 4 <= global_batch_size and groups < MOST_GROUPS:
        groups *= 2
    return groups if groups % ranks == 0 else ranks
