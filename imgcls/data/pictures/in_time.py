"""Pictures decoded within ``data.max_decode_seconds``, with worker processes or without.

A decoder hears no exception: only the end of its process ends it. So a worker that takes too long is killed. A
process that is no worker cannot be, and decodes for itself only what surely takes less time: what the headers
call heavy goes to a process of its own, which is killed as a worker is.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from imgcls.data.pictures.decode import Heavy, only_light, too_slow
from imgcls.machine.pool import Pool, TimeLimit, in_worker

Read = TypeVar("Read")

LIGHT_PER_SECOND = 5_000_000
"""Pixels times scans that any decoder surely does in a second of processor time; most do ten times as many."""

_one_at_a_time = threading.Lock()


def in_time(limit: TimeLimit | None, item: int, name: str, read: Callable[[], Read]) -> Read:
    """What ``read`` returns, which opens one picture and decodes it.

    Args:
        item: a number for the picture, one and the same in all processes of the limit.
        name: what messages call the picture.

    Raises:
        BadImage: it took longer than the limit, now or before.
    """
    if limit is None:
        return read()
    if item in limit.exceeded:
        raise too_slow(name, limit.seconds)
    if in_worker():
        with limit.on(item):  # without a limit, too: should the process die, it is known at what
            return read()
    if limit.seconds is None:
        return read()
    try:
        with only_light(limit.seconds * LIGHT_PER_SECOND):
            return read()
    except Heavy:
        with _one_at_a_time:
            (result,) = Pool(lambda item, slot: in_time(limit, item, name, read), 1, 1, limit=limit).map([item])
            return result
