"""Memory that the images of batches cross in, from data workers to the process that trains.

Paddle's workers copy a batch twice, and a third time into a new file of shared memory, whose pages the
kernel has to clear and map on both sides; files can be left over, and a container's ``/dev/shm`` is
small. Here a batch is put together where the other process reads it, in memory that both have had
since the worker began.
"""

import itertools
import mmap
import weakref

import numpy as np
from paddle.io import get_worker_info

from imgcls.errors import UserError

_memories: "weakref.WeakValueDictionary[int, BatchMemory]" = weakref.WeakValueDictionary()
_keys = itertools.count()


class BatchMemory:
    """Room for some batches of each worker; the workers are forked after it is made.

    Args:
        batches: of one worker, how many. When it begins another, the one as many before has been read.
        shape: of a batch, uint8.

    Raises:
        UserError: the machine has no such memory.
    """

    def __init__(self, num_workers: int, batches: int, shape: tuple[int, ...]):
        size = num_workers * batches * int(np.prod(shape))
        try:
            memory = mmap.mmap(-1, size)  # takes memory where it is written to
        except (OSError, OverflowError) as error:
            raise UserError(
                f"There is no memory for {num_workers * batches} batches of {num_workers} data workers, "
                f"{size / 1e6:,.0f} MB. Use fewer workers (trainer.num_workers) or a smaller batch."
            ) from error
        self._images = np.frombuffer(memory, np.uint8).reshape(num_workers, batches, *shape)
        self._turns = itertools.count()
        self._key = next(_keys)
        _memories[self._key] = self

    def stack(self, images: list[np.ndarray]) -> "Crossing":
        """A worker's next batch, uint8 ``[N, H, W, 3]``; what it held before is lost.

        Raises:
            ValueError: an image has another shape.
        """
        address = self._key, get_worker_info().id, next(self._turns) % self._images.shape[1], len(images)
        batch = _at(*address)
        return Crossing.of(np.stack(images, out=batch), address)


class Crossing(np.ndarray):
    """A batch in a ``BatchMemory``: pickled by its place alone, and an array at that place when unpickled."""

    address: tuple[int, int, int, int]

    @classmethod
    def of(cls, batch: np.ndarray, address: tuple[int, int, int, int]) -> "Crossing":
        crossing = batch.view(cls)
        crossing.address = address
        return crossing

    def __reduce_ex__(self, protocol: int) -> tuple:
        return _at, self.address


def _at(key: int, worker: int, turn: int, count: int) -> np.ndarray:
    return _memories[key]._images[worker, turn, :count]
