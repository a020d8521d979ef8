"""What is the fastest here: times that are taken in turns, and kept in a file for the next time."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.files import atomic_write
from imgcls.machine.reading import read_json
from imgcls.machine.text import write_json

log = logging.getLogger("imgcls")


Measured = TypeVar("Measured")


def in_turns(
    names: Iterable[str], measure: Callable[[str], Measured], most: int, least: int, seconds: float
) -> dict[str, list[Measured]]:
    """What ``measure`` gives for each name in each round: what else the machine does happens to all of them.

    Args:
        most: rounds.
        least: rounds, however long they take.
        seconds: after which no further round begins.
    """
    found: dict[str, list[Measured]] = {name: [] for name in names}
    began = time.perf_counter()
    for number in range(most):
        if number >= least and time.perf_counter() - began > seconds:
            break
        for name, values in found.items():
            values.append(measure(name))
    return found


def remembered(file: Path, names: Collection[str]) -> dict[str, float] | None:
    """Milliseconds of those of ``names`` that ``remember`` has kept, in its order.

    ``None`` where there are none, what is there is damaged, or the machine was busy then and is not now.
    """
    if not file.is_file():
        return None
    try:
        content = read_json(file)
        times = {name: float(value) for name, value in content["milliseconds"].items() if name in names}
        was_busy = bool(content["was_busy"])
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return None if not times or (was_busy and not cpu.is_busy()) else times


def remember(file: Path, milliseconds: Mapping[str, float], was_busy: bool, about: Mapping[str, Any]) -> None:
    """Keep times, and for whom is curious what they are ``about``; a cache that cannot be written is no hindrance."""
    content = {**about, "milliseconds": dict(milliseconds), "was_busy": was_busy}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file, shared=True) as partial:
            write_json(partial, content)
    except OSError as error:
        log.info("what was measured is not kept: %s", error)
