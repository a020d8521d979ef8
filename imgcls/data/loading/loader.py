"""Batches from a data set, prepared ahead by worker processes, as Paddle's tensors.

Not by ``paddle.io.DataLoader``: it copies a batch twice, and a third time into a new file of shared
memory; what happens to a worker arrives as "Blocking queue is killed", or never.
"""

import math
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import paddle

from imgcls.data.loading.bad_files import BadFile, BadFiles, leave_out, substitute
from imgcls.data.loading.dataset import ClassificationDataset, Sample
from imgcls.data.loading.sampler import EpochSampler
from imgcls.errors import UserError
from imgcls.machine.pool import Pool, TimeLimit, WorkerDied, WorkersSilent
from imgcls.machine.shared_array import shared_array

Batch = list[paddle.Tensor]
Key = tuple[int, int]


def build_loader(
    dataset: ClassificationDataset,
    sampler: EpochSampler,
    num_workers: int = 0,
    timeout: float | None = None,
    prefetch: int = 2,
    bad_files: BadFiles | None = None,
    max_decode_seconds: float | None = None,
) -> "Loader":
    """A loader of ``[images, labels, indices]``: uint8 ``[N, H, W, 3]``, int64 ``[N]``, int64 ``[N]``.

    Images of other channels, or of more bits, are as the data set gives them. Of samples with several labels each,
    these are float32 ``[N, num_classes]``.

    The batches and their order do not depend on ``num_workers``.

    Args:
        num_workers: processes that prepare batches; 0 prepares them in the calling thread, where a
            breakpoint in the data set stops.
        timeout: seconds to wait for a batch of the workers before giving up; without end when left out.
        prefetch: batches each worker prepares ahead.
        bad_files: the account of files that cannot be read. Where the sampler pads (training), others
            then stand in for them (see ``substitute``); where every sample counts once (evaluation),
            batches come without them. When left out, the first such file ends the iteration.
        max_decode_seconds: of processor time for one image; a worker that takes longer is killed and
            replaced, and the file counts as one that cannot be read. See ``in_time`` for what is done without workers.

    Raises:
        UserError: a setting outside its range. While iterating: what the data set raised, too many
            bad files, a worker that was killed, or the time-out.
    """
    if num_workers < 0:
        raise UserError(f"trainer.num_workers is {num_workers}; it must be 0 or more.")
    if prefetch < 1:
        raise UserError(f"The number of batches to prefetch is {prefetch}; it must be 1 or more.")
    if timeout is not None and timeout <= 0:
        raise UserError(f"The time-out of the data workers is {timeout} s; it must be more than 0.")
    return Loader(dataset, sampler, num_workers, timeout, prefetch, bad_files, max_decode_seconds)


class Loader:
    """See ``build_loader``; iterating starts at the sampler's position."""

    def __init__(
        self,
        dataset: ClassificationDataset,
        sampler: EpochSampler,
        num_workers: int,
        timeout: float | None,
        prefetch: int,
        bad_files: BadFiles | None,
        max_decode_seconds: float | None,
    ):
        self.dataset = dataset
        self.batch_sampler = sampler
        self.num_workers = num_workers
        self.timeout = timeout
        self.ahead = num_workers * prefetch
        self.bad_files = bad_files
        dataset.limit = TimeLimit(max_decode_seconds, self.ahead) if max_decode_seconds else None
        self.to_device = ToDevice()
        self.fetch: Callable[[ClassificationDataset, Key], Fetched] = _fetch
        if bad_files:
            in_training = partial(substitute, order=sampler.order, limit=bad_files.limit)
            self.fetch = in_training if sampler.pad else leave_out

    def __len__(self) -> int:
        """Batches left from the sampler's position on."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        room = self._room() if self.num_workers and self.dataset.image_shape else None
        prepare = partial(self._prepare, room)
        pool = Pool(prepare, self.num_workers, self.ahead, patience=self.timeout, limit=self.dataset.limit)
        try:
            for batch in pool.map(self.batch_sampler, partial(self._receive, room)):
                if batch:
                    yield batch
        except WorkerDied as error:
            raise UserError(_why_it_died(error.exitcode)) from error
        except WorkersSilent as error:
            raise UserError(
                f"No batch came from the data workers for {self.timeout:.0f} s. Is the disk with the images there "
                "and fast enough? More time: data.worker_timeout; to see where it hangs: trainer.num_workers=0."
            ) from error

    def _room(self) -> np.ndarray:
        """For the images of all batches that workers are ahead, ``[ahead, N, H, W, channels]``."""
        shape = (self.ahead, self.batch_sampler.batch_size, *self.dataset.image_shape)
        try:
            return shared_array(shape, self.dataset.image_dtype)
        except (OSError, OverflowError) as error:
            size = math.prod(shape) * np.dtype(self.dataset.image_dtype).itemsize
            raise UserError(
                f"There is no memory for {self.ahead} batches of {self.num_workers} data workers, "
                f"{size / 1e6:,.0f} MB. Use fewer workers (trainer.num_workers) or a smaller batch."
            ) from error

    def _prepare(self, room: np.ndarray | None, keys: list[Key], slot: int) -> "_Prepared":
        """In a worker: a batch, its images at their slot of ``room`` if there is one."""
        fetched = [self.fetch(self.dataset, key) for key in keys]
        samples = [sample for sample, _ in fetched if sample is not None]
        bad = [bad for _, found in fetched for bad in found]
        if not samples:
            return _Prepared(None, None, None, bad)
        images, labels, indices = zip(*samples, strict=True)
        stacked = np.stack(images, out=None if room is None else room[slot, : len(images)])
        return _Prepared(stacked if room is None else slot, np.stack(labels), np.array(indices, np.int64), bad)

    def _receive(self, room: np.ndarray | None, prepared: "_Prepared") -> Batch | None:
        """In the process that trains: a batch as tensors, none if it has no samples."""
        if prepared.bad:
            self.bad_files.add(prepared.bad)
        if prepared.labels is None:
            return None
        images = prepared.images if room is None else room[prepared.images, : len(prepared.labels)]
        return self.to_device([images, prepared.labels, prepared.indices])


class _Prepared(NamedTuple):
    """A batch; instead of its images the slot that they are in, where there is room for them."""

    images: np.ndarray | int | None
    labels: np.ndarray | None
    indices: np.ndarray | None
    bad: list[BadFile]


class ToDevice:
    """Copies arrays to tensors on the current device; a GPU fetches them while this process goes on."""

    def __init__(self):
        self._fetched: tuple[Batch, paddle.device.cuda.Event] | None = None

    def __call__(self, arrays: list[np.ndarray]) -> Batch:
        if not paddle.device.get_device().startswith("gpu"):
            return [paddle.to_tensor(array) for array in arrays]
        pinned = [paddle.to_tensor(array, place=paddle.CUDAPinnedPlace()) for array in arrays]
        tensors = [tensor.cuda(blocking=False) for tensor in pinned]
        fetched = paddle.device.cuda.Event()
        fetched.record()
        if self._fetched:
            self._fetched[1].synchronize()  # pinned memory that is let go before would be written to again
        self._fetched = pinned, fetched
        return tensors


Fetched = tuple[Sample | None, list[BadFile]]
"""A sample, or none where nothing stands in, and the bad files in its place."""


def _fetch(dataset: ClassificationDataset, key: Key) -> Fetched:
    return dataset[key], []


def _why_it_died(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        return (
            "A data worker was killed (signal SIGKILL), most likely because the machine ran out of memory. "
            "Use fewer workers (trainer.num_workers) or a smaller batch."
        )
    of_signal = exitcode is not None and exitcode < 0
    cause = f"signal {signal.Signals(-exitcode).name}" if of_signal else f"exit status {exitcode}"
    return f"A data worker died ({cause}). trainer.num_workers=0 shows what happens in it."
