"""Pictures read ahead of the network by threads (Pillow lets others run while it decodes), in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from imgcls.data.decode import decode_image
from imgcls.data.transforms import Transform
from imgcls.errors import UserError

Read = Callable[[str], np.ndarray]
Picture = tuple[str, np.ndarray]
Batch = tuple[list[str], np.ndarray]


def picture_reader(transform: Transform, max_pixels: int) -> Read:
    """Decode a picture of up to ``max_pixels`` and transform it for evaluation."""
    return lambda path: transform(decode_image(path, max_pixels=max_pixels), np.random.default_rng(0))


def read_batches(
    paths: Iterable[str], read: Read, batch_size: int, num_workers: int, report: Callable[[str, UserError], None]
) -> Iterator[Batch]:
    """Batches of pictures that could be read: their paths, and the images as one array.

    Two batches and a picture for each thread are read ahead, no more, however many paths there are.

    Args:
        read: path to image, all of one shape; raises ``UserError`` for a picture that cannot be read.
        num_workers: threads; 0 reads in this one, where a debugger stops.
        report: called with the path and the error for each picture that is left out.
    """
    good: list[Picture] = []
    for path, image in _read_ahead(paths, read, num_workers, ahead=2 * batch_size + num_workers):
        if isinstance(image, UserError):
            report(path, image)
            continue
        good.append((path, image))
        if len(good) == batch_size:
            yield _batch(good)
            good = []
    if good:
        yield _batch(good)


def _read_ahead(
    paths: Iterable[str], read: Read, num_workers: int, ahead: int
) -> Iterator[tuple[str, np.ndarray | UserError]]:
    def attempt(path: str) -> np.ndarray | UserError:
        try:
            return read(path)
        except UserError as error:
            return error

    if num_workers == 0:
        for path in paths:
            yield path, attempt(path)
        return
    pending: deque = deque()
    with ThreadPoolExecutor(num_workers, "reader") as pool:
        try:
            for path in paths:
                pending.append((path, pool.submit(attempt, path)))
                if len(pending) > ahead:
                    first, image = pending.popleft()
                    yield first, image.result()
            while pending:
                first, image = pending.popleft()
                yield first, image.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _batch(pictures: list[Picture]) -> Batch:
    return [path for path, _ in pictures], np.stack([image for _, image in pictures])
