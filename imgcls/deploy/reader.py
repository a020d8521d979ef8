"""Pictures read ahead of the network by processes of their own, in order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from imgcls.data.paths import printable
from imgcls.data.pictures.decode import open_image
from imgcls.data.pictures.transforms import Transform
from imgcls.errors import UserError
from imgcls.machine.pool import Pool, WorkerDied
from imgcls.machine.shared_array import SentArray

Read = Callable[[str], np.ndarray]
Batch = tuple[list[str], np.ndarray]


@dataclass(frozen=True)
class PictureReader:
    """Decodes a picture of up to ``max_pixels`` and transforms it for evaluation."""

    transform: Transform
    max_pixels: int

    def __call__(self, path: str) -> np.ndarray:
        with open_image(path, max_pixels=self.max_pixels) as photo:
            return self.transform.of_file(photo, np.random.default_rng(0))


def read_batches(
    paths: Iterable[str],
    read: Read,
    image_shape: tuple[int, int, int],
    batch_size: int,
    num_workers: int,
    report: Callable[[str, UserError], None],
) -> Iterator[Batch]:
    """Batches of pictures that could be read: their paths, and the images as one array, uint8 ``[N, H, W, 3]``.

    Two batches and a picture for each process are read ahead, no more, however many paths there are.

    Args:
        read: path to image, uint8; raises ``UserError`` for a picture that cannot be read. It is
            pickled for the processes.
        image_shape: of every image, ``(height, width, 3)``.
        num_workers: processes; 0 reads in this one, where a debugger stops.
        report: called with the path and the error for each picture that is left out.

    Raises:
        UserError: a process was killed.
    """
    ahead = 2 * batch_size + num_workers
    room = SentArray((ahead if num_workers else 1, *image_shape))
    # Not forked: the network's threads are running by now, and a fork may copy their locks while they are held.
    pool = Pool(_Reading(read, room), num_workers, ahead, start="spawn")
    good: list[str] = []
    images = np.empty((batch_size, *image_shape), np.uint8)
    path = ""

    def receive(answer: tuple[str, int | UserError]) -> tuple[str, UserError | None]:
        """Take the picture out of its slot, which the next one may be read into from now on."""
        path, read_to = answer
        if isinstance(read_to, UserError):
            return path, read_to
        images[len(good)] = room.array[read_to]
        return path, None

    try:
        for path, fault in pool.map(paths, receive):
            if fault is not None:
                report(path, fault)
                continue
            good.append(path)
            if len(good) == batch_size:
                yield good, images
                good, images = [], np.empty((batch_size, *image_shape), np.uint8)
    except WorkerDied as error:
        where = printable(next(iter(error.tasks.values()), path))
        raise UserError(
            f"A process that reads pictures was killed at {where} or soon after it, most likely because the "
            "machine ran out of memory. Go on with predict.resume=true and fewer processes (predict.num_workers)."
        ) from error
    if good:
        yield good, images[: len(good)]


@dataclass(frozen=True)
class _Reading:
    """Reads a picture into a slot of ``room``; returns the slot, or why it cannot be read."""

    read: Read
    room: SentArray

    def __call__(self, path: str, slot: int) -> tuple[str, int | UserError]:
        try:
            self.room.array[slot] = self.read(path)
        except UserError as error:
            return path, error
        return path, slot
