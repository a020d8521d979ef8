"""Pictures read ahead of the network by processes of their own, in order."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from imgcls.data.paths import printable
from imgcls.data.pictures.decode import open_photo
from imgcls.data.pictures.transforms import Transform
from imgcls.errors import UserError

Read = Callable[[str], np.ndarray]
Picture = tuple[str, np.ndarray]
Batch = tuple[list[str], np.ndarray]

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class PictureReader:
    """Decodes a picture of up to ``max_pixels`` and transforms it for evaluation."""

    transform: Transform
    max_pixels: int

    def __call__(self, path: str) -> np.ndarray:
        with open_photo(path, max_pixels=self.max_pixels) as photo:
            return self.transform.of_photo(photo, np.random.default_rng(0))


def read_batches(
    paths: Iterable[str], read: Read, batch_size: int, num_workers: int, report: Callable[[str, UserError], None]
) -> Iterator[Batch]:
    """Batches of pictures that could be read: their paths, and the images as one array.

    Two batches and a picture for each process are read ahead, no more, however many paths there are.

    Args:
        read: path to image, all of one shape; raises ``UserError`` for a picture that cannot be read.
            It is pickled for the processes.
        num_workers: processes; 0 reads in this one, where a debugger stops.
        report: called with the path and the error for each picture that is left out.

    Raises:
        UserError: a process was killed.
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
    if num_workers == 0:
        for path in paths:
            yield path, _attempt(read, path)
        return
    pending: deque = deque()
    # Not forked: the network's threads are running by now, and a fork may copy their locks while they are held.
    with ProcessPoolExecutor(num_workers, get_context("spawn"), _start_process, (os.getpid(), read)) as pool:
        try:
            for path in paths:
                pending.append((path, pool.submit(_attempt_here, path)))
                if len(pending) > ahead:
                    yield pending[0][0], pending[0][1].result()
                    pending.popleft()
            while pending:
                yield pending[0][0], pending[0][1].result()
                pending.popleft()
        except BrokenProcessPool as error:
            where = printable(pending[0][0] if pending else path)
            raise UserError(
                f"A process that reads pictures was killed at {where} or soon after it, most likely because the "
                "machine ran out of memory. Go on with predict.resume=true and fewer processes (predict.num_workers)."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _attempt(read: Read, path: str) -> np.ndarray | UserError:
    try:
        return read(path)
    except UserError as error:
        return error


def _start_process(parent: int, read: Read) -> None:
    """Runs first in each process: Ctrl-C is the parent's to handle, and there is no life without it."""
    global _read
    _read = read
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _attempt_here(path: str) -> np.ndarray | UserError:
    return _attempt(_read, path)


def _batch(pictures: list[Picture]) -> Batch:
    return [path for path, _ in pictures], np.stack([image for _, image in pictures])
