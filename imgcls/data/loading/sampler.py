"""Which samples make up which batch of which epoch, on which rank."""

from collections.abc import Iterator

import numpy as np
import paddle

from imgcls.errors import UserError
from imgcls.functional.class_balance import balanced_order

AGAIN = 2**32


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

    A key's first number is the epoch; for a sample that an epoch has again, the epoch and ``AGAIN`` for each
    time before, so that its crop is another one.

    Iterating does not move the position, since loaders run ahead of the training that uses them;
    whoever trains says where an epoch starts with ``set_position``.

    Args:
        batch_size: of one rank.
        drop_last: leave out the last global batch when it is incomplete.
        balanced_labels: of the samples, int ``[num_samples]``: shuffled epochs have equally many of each class.

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
        balanced_labels: np.ndarray | None = None,
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
        self.balanced_labels = balanced_labels
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
        if self.shuffle and self.balanced_labels is not None:
            return balanced_order(self.balanced_labels, self.seed, epoch)
        if self.shuffle:
            return np.random.default_rng([self.seed, epoch]).permutation(self.num_samples)
        return np.arange(self.num_samples)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        order = self.order(epoch)
        names = epoch + AGAIN * _times_before(order) if self.balanced_labels is not None else None
        for batch in range(self.batch, self.batches_per_epoch):
            start = batch * self.global_batch_size
            places = np.arange(start, min(start + self.global_batch_size, len(order)))
            if self.pad and len(places) < self.ranks:
                places = np.concatenate([places, np.arange(self.ranks - len(places)) % len(order)])
            yield [
                (epoch if names is None else int(names[place]), int(order[place]))
                for place in places[self.rank :: self.ranks]
            ]


def epoch_of(key: tuple[int, int]) -> int:
    """The epoch that a key of an ``EpochSampler`` belongs to."""
    return key[0] % AGAIN


def _times_before(order: np.ndarray) -> np.ndarray:
    """How often each entry has come before in ``order``, int64 of its shape."""
    sorting = np.argsort(order, kind="stable")
    _, starts, counts = np.unique(order[sorting], return_index=True, return_counts=True)
    times = np.empty(len(order), np.int64)
    times[sorting] = np.arange(len(order)) - np.repeat(starts, counts)
    return times
