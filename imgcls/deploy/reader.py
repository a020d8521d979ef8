"""Pictures read ahead of the network by processes of their own, in order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from imgcls.data.paths import printable
from imgcls.data.pictures.decode import open_image
from imgcls.data.pictures.in_time import in_time
from imgcls.data.pictures.transforms import Transform
from imgcls.errors import UserError
from imgcls.machine.pool import Pool, TimeLimit, WorkerDied
from imgcls.machine.shared_array import SentArray

Read = Callable[[str], np.ndarray]
Batch = tuple[list[str], np.ndarray]


@dataclass(frozen=True)
class ImageReader:
    """Decodes a picture of up to ``max_pixels`` and transforms it for evaluation."""

    transform: Transform
    max_pixels: int

    def __call__(self, path: str) -> np.ndarray:
        with open_image(path, max_pixels=self.max_pixels, channels=self.transform.channels) as photo:
            return self.transform.of_file(photo, np.random.default_rng(0))


def read_batches(
    paths: Iterable[str],
    read: Read,
    image_shape: tuple[int, int, int],
    batch_size: int,
    num_workers: int,
    report: Callable[[str, UserError], None],
    max_decode_seconds: float | None = None,
    start: str = "spawn",
    dtype: type = np.uint8,
) -> Iterator[Batch]:
    """Batches of pictures that could be read: their paths, and the images as one array, ``[N, H, W, channels]``.

    Two batches and a picture for each process are read ahead, no more, however many paths there are.

    Args:
        read: path to image; raises ``UserError`` for a picture that cannot be read. It is
            pickled for the processes.
        image_shape: of every image, ``(height, width, channels)``.
        num_workers: processes; 0 reads in this one, where a debugger stops.
        report: called with the path and the error for each picture that is left out.
        max_decode_seconds: of processor time for one picture; a process that takes longer is killed and
            replaced, and the picture is left out. See ``in_time`` for what is done without processes.
        start: of the processes; ``fork`` is faster, and for a network whose threads are not running yet.
        dtype: of the images.

    Raises:
        UserError: a process was killed.
    """
    ahead = 2 * batch_size + num_workers
    room = SentArray((ahead if num_workers else 1, *image_shape), dtype)
    limit = TimeLimit(max_decode_seconds, ahead)
    pool = Pool(_Reading(read, room, limit), num_workers, ahead, start=start, limit=limit)
    good: list[str] = []
    path = ""

    def fetch(answer: tuple[str, int | UserError]) -> tuple[str, np.ndarray | UserError]:
        path, read_to = answer
        return path, read_to if isinstance(read_to, UserError) else room.array[read_to].copy()

    try:
        for path, image in pool.map(enumerate(paths), fetch):
            if isinstance(image, UserError):
                report(path, image)
                continue
            if not good:
                images = np.empty((batch_size, *image_shape), dtype)
            images[len(good)] = image
            good.append(path)
            if len(good) == batch_size:
                yield good, images
                good = []
    except WorkerDied as error:
        where = printable(next(iter(error.tasks.values()), (0, path))[1])
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
    limit: TimeLimit

    def __call__(self, numbered: tuple[int, str], slot: int) -> tuple[str, int | UserError]:
        number, path = numbered
        try:
            self.room.array[slot] = in_time(self.limit, number, printable(path), lambda: self.read(path))
        except UserError as error:
            return path, error
        return path, slot
