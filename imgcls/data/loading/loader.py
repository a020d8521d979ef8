"""Batches from a data set: Paddle's DataLoader with its failures turned into messages.

What Paddle 2.6 leaves open and this closes: without workers it reads in a second thread, and an
exception there ends the thread and leaves training waiting for ever; an exception in a worker
arrives as "Blocking queue is killed"; a killed worker raises from a signal handler wherever training
happens to be; a silent worker is waited for without end, for a batch or for its own end; and workers
outlive a parent that was killed.
"""

import errno
import gc
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import paddle

from imgcls.data.loading.bad_files import BadFile, BadFiles, leave_out, substitute
from imgcls.data.loading.batch_memory import BatchMemory
from imgcls.data.loading.dataset import ClassificationDataset, Sample
from imgcls.data.loading.sampler import EpochSampler
from imgcls.data.loading.workers import Watch, start_worker
from imgcls.errors import UserError

Batch = list[paddle.Tensor]


def build_loader(
    dataset: ClassificationDataset,
    sampler: EpochSampler,
    num_workers: int = 0,
    timeout: float = 120.0,
    prefetch: int = 2,
    bad_files: BadFiles | None = None,
) -> "Loader":
    """A loader of ``[images, labels, indices]``: uint8 ``[N, H, W, 3]``, int64 ``[N]``, int64 ``[N]``.

    The batches and their order do not depend on ``num_workers``.

    Args:
        num_workers: processes that prepare batches; 0 prepares them in the calling thread, where a
            breakpoint in the data set stops.
        timeout: seconds to wait for a batch of the workers before giving up.
        prefetch: batches each worker prepares ahead.
        bad_files: the account of files that cannot be read. Where the sampler pads (training), others
            then stand in for them (see ``substitute``); where every sample counts once (evaluation),
            batches come without them. When left out, the first such file ends the iteration.

    Raises:
        UserError: a setting outside its range. While iterating: what the data set raised, too many
            bad files, a worker that was killed, or the time-out.
    """
    if num_workers < 0:
        raise UserError(f"trainer.num_workers is {num_workers}; it must be 0 or more.")
    if prefetch < 1:
        raise UserError(f"The number of batches to prefetch is {prefetch}; it must be 1 or more.")
    if timeout <= 0:
        raise UserError(f"The time-out of the data workers is {timeout} s; it must be more than 0.")
    return Loader(dataset, sampler, num_workers, timeout, prefetch, bad_files)


class Loader(paddle.io.DataLoader):
    """See ``build_loader``; iterating starts at the sampler's position."""

    def __init__(
        self,
        dataset: ClassificationDataset,
        sampler: EpochSampler,
        num_workers: int,
        timeout: float,
        prefetch: int,
        bad_files: BadFiles | None,
    ):
        fetch = _fetch
        if bad_files:
            in_training = partial(substitute, order=sampler.order, limit=bad_files.limit)
            fetch = in_training if sampler.pad else leave_out
        super().__init__(
            _Guarded(dataset, fetch),
            batch_sampler=sampler,
            num_workers=num_workers,
            prefetch_factor=prefetch,
            use_shared_memory=False,  # see BatchMemory
            worker_init_fn=partial(start_worker, os.getpid()),
        )
        self.batch_shape = dataset.image_shape and (sampler.batch_size, *dataset.image_shape)
        self.patience = timeout
        self.bad_files = bad_files

    def __iter__(self) -> Iterator[Batch]:
        return self._from_workers() if self.num_workers else self._from_here()

    def _from_here(self) -> Iterator[Batch]:
        for keys in self.batch_sampler:
            fetched = [self.dataset.fetch(self.dataset.dataset, key) for key in keys]
            self._account(_bad_files(fetched))
            if samples := _samples(fetched):
                yield [paddle.to_tensor(array) for array in collate(samples)]

    def _from_workers(self) -> Iterator[Batch]:
        expected = len(self.batch_sampler)
        # Paddle gives a worker another batch only once training has taken the one ``prefetch_factor`` before it.
        room = self.batch_shape and BatchMemory(self.num_workers, self.prefetch_factor, self.batch_shape)
        workers = self._start_workers(room)
        with Watch(workers, self.patience) as watch:
            for _ in range(expected):  # asked for one more, Paddle would wait for the workers' end without limit
                watch.waiting_since = time.monotonic()
                try:
                    *batch, report = next(workers)
                except Exception as error:
                    if watch.problem:
                        raise UserError(watch.problem) from error
                    raise
                watch.waiting_since = None
                if isinstance(report, _Failure):
                    raise report.as_exception()
                self._account(report)
                if len(batch) == 3:
                    yield batch

    def _account(self, found: Sequence[BadFile]) -> None:
        if found:
            self.bad_files.add(found)

    def _start_workers(self, room: BatchMemory | None) -> Iterator:
        """Paddle's iterator over the batches of fresh worker processes."""
        self.collate_fn = partial(_collate_guarded, stack=room.stack if room else np.stack)
        random_state = np.random.get_state()
        # A worker must not collect what the parent left over: freeing an earlier iterator would wait
        # for threads that exist in the parent only. It also leaves shared pages shared. What is left
        # over goes first: once frozen and thawed it would be looked at again almost never.
        gc.collect()
        gc.freeze()
        try:
            return super().__iter__()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(
                "The data workers cannot start: /dev/shm has no room for their locks. Free some, make it larger "
                "(docker run --shm-size=1g), or load without workers (trainer.num_workers=0)."
            ) from error
        finally:
            gc.unfreeze()
            np.random.set_state(random_state)  # Paddle drew a seed; a resumed run must not differ by that


def collate(samples: list[Sample], stack: Callable[[list[np.ndarray]], np.ndarray] = np.stack) -> list[np.ndarray]:
    """Samples stacked: images ``[N, H, W, 3]``, labels ``[N]``, indices ``[N]``."""
    images, labels, indices = zip(*samples, strict=True)
    return [stack(images), np.array(labels, np.int64), np.array(indices, np.int64)]


@dataclass(frozen=True)
class _Failure:
    """An exception on its way from a worker to the process that trains."""

    message: str
    is_user_error: bool

    @classmethod
    def of(cls, error: Exception) -> "_Failure":
        if isinstance(error, UserError):
            return cls(str(error), True)
        return cls("".join(traceback.format_exception(error)), False)

    def as_exception(self) -> Exception:
        if self.is_user_error:
            return UserError(self.message)
        return RuntimeError(f"A data worker failed:\n{self.message}")


NOTHING = np.zeros(1, np.uint8)
"""What a worker sends for a batch that it does not have: Paddle wants at least one array."""

Fetched = tuple[Sample | None, list[BadFile]]
"""A sample, or none where nothing stands in, and the bad files in its place."""


def _fetch(dataset: ClassificationDataset, key: tuple[int, int]) -> Fetched:
    return dataset[key], []


class _Guarded(paddle.io.Dataset):
    """What ``fetch`` gives for each key; its exceptions are returned, so that they can travel with the batch."""

    def __init__(
        self, dataset: ClassificationDataset, fetch: Callable[[ClassificationDataset, tuple[int, int]], Fetched]
    ):
        super().__init__()
        self.dataset = dataset
        self.fetch = fetch

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Fetched | _Failure:
        try:
            return self.fetch(self.dataset, key)
        except Exception as error:
            return _Failure.of(error)


def _collate_guarded(fetched: list[Fetched | _Failure], stack: Callable[[list[np.ndarray]], np.ndarray]) -> list:
    """Three arrays, or an empty one where there is no sample, and what happened: bad files, or the first failure."""
    failure = next((one for one in fetched if isinstance(one, _Failure)), None)
    if failure is None:
        try:
            arrays = collate(samples, stack) if (samples := _samples(fetched)) else [NOTHING]
            return [*arrays, _bad_files(fetched)]
        except Exception as error:
            failure = _Failure.of(error)
    return [NOTHING, failure]


def _samples(fetched: list[Fetched]) -> list[Sample]:
    return [sample for sample, _ in fetched if sample is not None]


def _bad_files(fetched: list[Fetched]) -> tuple[BadFile, ...]:
    return tuple(bad for _, found in fetched for bad in found)
