"""Every file of a data set decoded, hashed and looked at, by several processes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from imgcls.data.checking import likeness
from imgcls.data.formats.samples import Samples
from imgcls.data.paths import bullet_list, printable
from imgcls.data.pictures.decode import MAX_PIXELS, BadImage, open_image
from imgcls.data.pictures.in_time import in_time
from imgcls.errors import UserError
from imgcls.machine.files import sha256
from imgcls.machine.pool import Pool, TimeLimit, WorkerDied

FILES_PER_TASK = 32


@dataclass(frozen=True)
class FileCheck:
    """What one file turned out to be: the sha256 of its content and its ``likeness.look``, or why it cannot be read."""

    index: int
    size: tuple[int, int] = (0, 0)
    digest: bytes | None = None
    look: bytes | None = None
    fault: str | None = None


def check_file(samples: Samples, index: int, max_pixels: int = MAX_PIXELS, looks: bool = False) -> FileCheck:
    """Decode one image and hash its file.

    Args:
        looks: note how it looks, too.
    """
    name = printable(samples.path(index))
    try:
        source = samples.source(index)
        with open_image(source, name, max_pixels) as photo:
            size = photo.size
            # Damage shows at any resolution, and a small one is fast.
            image, _ = photo.decode_shrunk(min(size), likeness.SIDE if looks else 1)
            seen = likeness.look(image) if looks else None
        return FileCheck(index, size, _digest(source), seen)
    except BadImage as error:
        return FileCheck(index, fault=str(error))
    except OSError as error:
        return FileCheck(index, fault=f"Cannot read {name}: {error.strerror or error}.")


def check_files(
    samples: Samples,
    num_workers: int,
    max_pixels: int = MAX_PIXELS,
    max_decode_seconds: float | None = None,
    looks: bool = False,
) -> Iterator[FileCheck]:
    """Check every file, in processes of their own.

    Args:
        num_workers: processes; 0 for this one.
        max_decode_seconds: of processor time for one image; a process that takes longer is killed and
            replaced, and the file cannot be read. See ``in_time`` for what is done without processes.
        looks: note how each looks, too.

    Raises:
        UserError: a process died; names the file that it may have died of.
    """
    ahead = 2 * max(1, num_workers)
    limit = TimeLimit(max_decode_seconds, ahead)
    parts = [range(i, min(i + FILES_PER_TASK, len(samples))) for i in range(0, len(samples), FILES_PER_TASK)]

    def check_part(part: range, slot: int) -> list[FileCheck]:
        checks = []
        for index in part:
            try:
                check = partial(check_file, samples, index, max_pixels, looks)
                checks.append(in_time(limit, index, printable(samples.path(index)), check))
            except BadImage as error:
                checks.append(FileCheck(index, fault=str(error)))
        return checks

    try:
        for checks in Pool(check_part, num_workers, ahead, limit=limit).map(parts):  # the samples are shared, not sent
            yield from checks
    except WorkerDied as error:
        slot, part = next(iter(error.tasks.items()), (0, range(0)))
        at = limit.item(slot)
        suspects = [printable(samples.path(index)) for index in ([at] if at in part else part)] or ["none: it was idle"]
        raise UserError(
            "A process died while it looked at one of these files, for want of memory or of the decoder:\n"
            f"{bullet_list(suspects, len(suspects))}\nverify.num_workers=1 finds out which."
        ) from error


def _digest(source: str | bytes) -> bytes:
    return hashlib.sha256(source).digest() if isinstance(source, bytes) else bytes.fromhex(sha256(source))
