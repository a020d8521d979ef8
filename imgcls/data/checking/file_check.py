"""Every file of a data set decoded and hashed, by several processes."""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray

from imgcls.data.formats.samples import Samples
from imgcls.data.loading.workers import end_with
from imgcls.data.paths import bullet_list, printable
from imgcls.data.pictures.decode import MAX_PIXELS, BadImage, open_photo
from imgcls.errors import UserError

FILES_PER_TASK = 32


@dataclass(frozen=True)
class FileCheck:
    """What one file turned out to be: the sha256 of its content, or why it cannot be read."""

    index: int
    size: tuple[int, int] = (0, 0)
    digest: bytes | None = None
    fault: str | None = None


def check_file(samples: Samples, index: int, max_pixels: int = MAX_PIXELS) -> FileCheck:
    """Decode one image and hash its file."""
    name = printable(samples.path(index))
    try:
        source = samples.source(index)
        with open_photo(source, name, max_pixels) as photo:
            size = photo.size
            photo.decode_shrunk(min(size), 1)  # damage shows at any resolution, and a small one is fast
        return FileCheck(index, size, _sha256(source))
    except BadImage as error:
        return FileCheck(index, fault=str(error))
    except OSError as error:
        return FileCheck(index, fault=f"Cannot read {name}: {error.strerror or error}.")


def check_files(samples: Samples, num_workers: int, max_pixels: int = MAX_PIXELS) -> Iterator[FileCheck]:
    """Check every file, in processes of their own.

    Args:
        num_workers: processes; 0 for this one.

    Raises:
        UserError: a process died; names the files that it may have died of.
    """
    if num_workers == 0:
        yield from (check_file(samples, index, max_pixels) for index in range(len(samples)))
        return
    context = multiprocessing.get_context("fork")  # the samples are shared, not sent
    in_work = context.Array("q", [-1] * num_workers)
    started = context.Value("i", 0)
    parts = [range(i, min(i + FILES_PER_TASK, len(samples))) for i in range(0, len(samples), FILES_PER_TASK)]
    arguments = (os.getpid(), samples, max_pixels, in_work, started)
    with ProcessPoolExecutor(num_workers, context, initializer=_start, initargs=arguments) as pool:
        try:
            for checks in pool.map(_check_part, parts):
                yield from checks
        except BrokenProcessPool as error:
            suspects = [printable(samples.path(index)) for index in in_work[:] if index >= 0]
            raise UserError(
                "A process died while it looked at one of these files, for want of memory or of the decoder:\n"
                f"{bullet_list(suspects, len(suspects))}\nverify.num_workers=1 finds out which."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


class _Checker:
    """What a process checks with; notes down in its place of ``in_work`` which file it is at."""

    def __init__(self, samples: Samples, max_pixels: int, in_work: SynchronizedArray, place: int):
        self.samples = samples
        self.max_pixels = max_pixels
        self.in_work = in_work
        self.place = place

    def __call__(self, index: int) -> FileCheck:
        self.in_work[self.place] = index
        return check_file(self.samples, index, self.max_pixels)


def _start(parent: int, samples: Samples, max_pixels: int, in_work: SynchronizedArray, started: Synchronized) -> None:
    """Runs first in each process: Ctrl-C is the parent's to handle, and there is no life without it."""
    global _checker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)
    with started.get_lock():
        _checker = _Checker(samples, max_pixels, in_work, started.value)
        started.value += 1


def _check_part(indices: Sequence[int]) -> list[FileCheck]:
    return [_checker(index) for index in indices]


def _sha256(source: str | bytes) -> bytes:
    if isinstance(source, bytes):
        return hashlib.sha256(source).digest()
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
