"""Which samples make up which batch of which epoch, on which rank."""

from collections.abc import Iterator

import numpy as np
import paddle

from imgcls.errors import UserError


class EpochSampler(paddle.io.BatchSampler):
    """Batches of keys ``(epoch, index)`` from a position on, for one of several ranks.

    The order of an epoch is a function of ``seed`` and epoch. It is cut into global batches of
    ``batch_size * ranks`` samples, and rank ``r`` takes every ``ranks``-th sample of each, from the
    ``r``-th on: batch ``k`` of all ranks together is batch ``k`` of a single process with the global
    batch size. The last global batch holds what is left, so ranks may get batches that differ by
    one in length. If fewer samples than ranks are left, there are two ways on:

    - ``pad=True`` (training: every rank must take part in every step): the epoch's first samples are
      repeated until each rank has one;
    - ``pad=False`` (evaluation: every sample counts once): the ranks without a sample have one batch less.

    Iterating does not move the position, since loaders run ahead of the training that uses them;
    whoever trains says where an epoch starts with ``set_position``.

    Args:
        batch_size: of one rank.
        drop_last: leave out the last global batch when it is incomplete.

    Raises:
        UserError: there would be no batch at all.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        rank: int = 0,
        ranks: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        pad: bool = True,
    ):
        if batch_size < 1:
            raise UserError(f"The batch size of one process is {batch_size}; it must be 1 or more.")
        if num_samples < 1:
            raise UserError("There are no samples to make batches of.")
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.rank = rank
        self.ranks = ranks
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.pad = pad
        self.global_batch_size = batch_size * ranks
        if drop_last and num_samples < self.global_batch_size:
            raise UserError(
                f"The batch size {self.global_batch_size} is larger than the {num_samples} samples, and incomplete "
                "batches are dropped. Use a smaller trainer.batch_size."
            )
        self.set_position(0)

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration start at this batch of this epoch."""
        self.epoch = epoch
        self.batch = batch

    @property
    def batches_per_epoch(self) -> int:
        """Batches of this rank in a whole epoch."""
        complete, rest = divmod(self.num_samples, self.global_batch_size)
        takes_part = rest > 0 and not self.drop_last and (self.pad or self.rank < rest)
        return complete + takes_part

    def __len__(self) -> int:
        """Batches left from the position on."""
        return max(0, self.batches_per_epoch - self.batch)

    def order(self, epoch: int) -> np.ndarray:
        """All indices in the order of this epoch, before they are cut into batches; int64 ``[num_samples]``."""
        if self.shuffle:
            return np.random.default_rng([self.seed, epoch]).permutation(self.num_samples)
        return np.arange(self.num_samples)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        order = self.order(epoch)
        for batch in range(self.batch, self.batches_per_epoch):
            start = batch * self.global_batch_size
            indices = order[start : start + self.global_batch_size]
            if self.pad and len(indices) < self.ranks:
                indices = np.concatenate([indices, np.resize(order, self.ranks - len(indices))])
            yield [(epoch, int(index)) for index in indices[self.rank :: self.ranks]]
