"""The fastest way to train a network on this processor: measured on its first batch, and remembered."""

import contextlib
import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import paddle
from paddle import nn

from imgcls.engine.graph_gradients import REWRITTEN
from imgcls.engine.onednn import above_1x1, compile_with_onednn, gradients, layer_by_layer
from imgcls.engine.ranks import Ranks
from imgcls.errors import UserError
from imgcls.machine import cpu, memory
from imgcls.machine.cache import cache_directory
from imgcls.machine.measured import in_turns, remember, remembered
from imgcls.machine.paddle_graphs import ACTIVATIONS, mark_for_onednn
from imgcls.machine.turns import one_at_a_time

log = logging.getLogger("imgcls")

EAGER = "eager"
GRAPHS: Mapping[str, Callable[[nn.Layer], bool]] = {"onednn": above_1x1, "onednn everywhere": lambda layer: True}
"""Which convolutions oneDNN computes, by the name of the way."""

WORTH = 0.95
"""Share of eager's time that a graph takes at most, to be taken."""

SECONDS, LEAST_ROUNDS, MOST_ROUNDS = 2.0, 2, 7
MEMORY_FACTOR = 3.5
"""What a graph takes at most, of eager's memory."""

Loss = Callable[[], paddle.Tensor]

ALONE = Ranks()
MADE, NO_MEMORY, NOT_MADE = range(3)
"""What came of a graph on a rank: the worst counts."""


def take_fastest(
    network: nn.Layer, images: paddle.Tensor, loss: Loss, taken: str | None = None, ranks: Ranks = ALONE
) -> str:
    """Let ``network`` compute in the fastest way whose gradients are eager's to rounding; gives its name.

    The network, its statistics and the random numbers are left as they were. Several ranks measure together, and
    take the same: rank 0 remembers for them, and a way counts as slow as on the slowest.

    Args:
        images: of a training batch, normalised ``[N, C, H, W]``.
        loss: that of ``network`` for this batch.
        taken: the way of a run that goes on, which is kept: others round otherwise.
        ranks: that train this network together, each on images of its own.

    Raises:
        UserError: the way of a run that goes on does not work here.
    """
    if taken is not None:
        ranks.all_or_none(lambda: _take(network, images, loss, taken), lambda: layer_by_layer(network))
        log.info("trainer.compile=auto: %s, as the run was begun", taken)
        return taken
    file = _file(network, images, ranks.count)
    # jobs that start together would slow each other, and take each other for dead
    with _alone(file) if ranks.first else contextlib.nullcontext():
        times = _of_first(ranks, lambda: _known(file))
        if times is None:
            return _measured(network, images, loss, file, ranks)
    name = _fastest(times)
    try:
        ranks.all_or_none(lambda: _take(network, images, loss, name), lambda: layer_by_layer(network))
    except UserError as error:
        log.warning("%s", error)
        return EAGER
    _tell(name, times, "as remembered")
    return name


def _of_first(ranks: Ranks, ask: Callable[[], Any]) -> Any:
    """What rank 0 finds, in JSON's types, on every rank."""
    return json.loads(ranks.broadcast(json.dumps(ask()) if ranks.first else ""))


def _take(network: nn.Layer, images: paddle.Tensor, loss: Loss, name: str) -> None:
    if name == EAGER:
        return
    try:
        compile_with_onednn(network, images, loss, GRAPHS[name])
    except (UserError, KeyError) as error:
        raise UserError(f"trainer.compile=auto: {name}, which was the fastest, does not work here: {error}") from error


def _measured(network: nn.Layer, images: paddle.Tensor, loss: Loss, file: Path, ranks: Ranks) -> str:
    busy = cpu.is_busy()
    if busy:
        log.warning("the machine is busy (load %.1f): on an idle one another way to train may be faster", cpu.load())
    _, need = memory.growth(lambda: gradients(network, loss))
    forwards: dict[str, Callable | None] = {EAGER: None}
    failed: dict[str, float] = {}
    for name, chosen in GRAPHS.items():
        if not _of_first(ranks, lambda name=name: _may_be_tried(name, file, ranks.count * (need or 0))):
            continue
        with _marked_as_deadly(file, name) if ranks.first else contextlib.nullcontext():
            outcome, reason = max(ranks.gather_values(_try(network, images, loss, chosen)))
        if outcome == MADE:
            forwards[name] = vars(network).pop("forward")
            continue
        layer_by_layer(network)
        failed |= {name: math.inf} if outcome == NOT_MADE else {}
        log.info("%s is left out: %s", name, reason)
    if len(forwards) == 1:
        log.info("trainer.compile=auto: eager, no graph can be had here")
        return EAGER
    times = _of_slowest(ranks.gather_values(_times(network, loss, forwards))) | failed
    name = _fastest(times)
    if name == EAGER:
        layer_by_layer(network)
    else:
        mark_for_onednn(network, GRAPHS[name])  # for what is translated later: evaluation
        vars(network)["forward"] = forwards[name]
    if ranks.first:
        about = {"network": type(network).__name__, "machine": cpu.name(), "batch": list(images.shape)}
        remember(file, times, busy, about)
    _tell(name, times, "measured now")
    return name


def _may_be_tried(name: str, file: Path, need: int) -> bool:
    """Whether there is the memory for it, by what eager training needs, and it has ended no process."""
    free = memory.available()
    if need and free is not None and free < MEMORY_FACTOR * need:
        wanted = MEMORY_FACTOR * need / 1e9
        log.info("%s is left out: it may take %.1f GB, and %.1f GB are free", name, wanted, free / 1e9)
        return False
    trying = _deadly(file, name)
    if trying.exists():
        log.info("%s is left out: it has ended a process here (%s)", name, trying)
        return False
    log.info("trying %s; should that end this process, the next one leaves it out", name)
    return True


def _try(network: nn.Layer, images: paddle.Tensor, loss: Loss, chosen: Callable) -> tuple[int, str]:
    """What came of it, and why."""
    try:
        compile_with_onednn(network, images, loss, chosen)
    except MemoryError as error:
        return NO_MEMORY, str(error)
    except Exception as error:  # of a network of somebody's own that cannot be translated
        return NOT_MADE, str(error)
    return MADE, ""


@contextlib.contextmanager
def _marked_as_deadly(file: Path, name: str) -> Iterator[None]:
    trying = _deadly(file, name)
    _touch(trying)
    try:
        yield
    finally:
        trying.unlink(missing_ok=True)


def _times(network: nn.Layer, loss: Loss, forwards: Mapping[str, Callable | None]) -> dict[str, float]:
    """Milliseconds for forward and backward: medians of rounds in which all take turns."""

    def measure(name: str) -> float:
        if forwards[name] is not None:
            vars(network)["forward"] = forwards[name]
        try:
            started = time.perf_counter()
            gradients(network, loss)
            return 1000 * (time.perf_counter() - started)
        finally:
            vars(network).pop("forward", None)

    times = in_turns(forwards, measure, MOST_ROUNDS, LEAST_ROUNDS, SECONDS)
    return {name: median(values) for name, values in times.items()}


def _of_slowest(times: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By way, from those of each rank: an update waits for all of them."""
    return {name: max(one[name] for one in times) for name in times[0]}


def _fastest(times: Mapping[str, float]) -> str:
    name = min(times, key=times.__getitem__)
    return name if times[name] <= WORTH * times[EAGER] else EAGER


def _tell(name: str, times: Mapping[str, float], source: str) -> None:
    shown = ", ".join(f"{way} {value:.0f}" for way, value in times.items() if math.isfinite(value))
    log.info("trainer.compile=auto: %s; forward and backward take %s ms (%s)", name, shown, source)


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a file system without locks
            stack.enter_context(one_at_a_time(file.with_suffix(".lock"), "measures how to train this network"))
        yield


def _known(file: Path) -> dict[str, float] | None:
    """What is remembered of all ways but the deadly; ``None`` also where one was not tried, for want of memory."""
    times = remembered(file, (EAGER, *GRAPHS)) or {}
    alive = [name for name in GRAPHS if not _deadly(file, name).exists()]
    if not {EAGER, *alive} <= set(times):
        return None
    return {name: value for name, value in times.items() if name in (EAGER, *alive)}


def _deadly(file: Path, name: str) -> Path:
    """There while a way is tried, and left behind by a process that died of it: oneDNN ends some with an abort."""
    return file.with_suffix(f".{name.replace(' ', '-')}.trying")


def _touch(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def _file(network: nn.Layer, images: paddle.Tensor, ranks: int) -> Path:
    """By all that the choice depends on."""
    known = (
        *(cpu.name(), cpu.usable_cores(), [os.environ.get(name) for name in cpu.THREAD_VARIABLES]),
        *(paddle.__version__, list(GRAPHS), ACTIVATIONS, list(REWRITTEN)),
        *(images.shape, *([ranks] if ranks > 1 else [])),
        *(type(network).__name__, [(name, one.shape, one.stop_gradient) for name, one in network.named_parameters()]),
    )
    digest = hashlib.sha256(repr(known).encode()).hexdigest()[:32]
    return cache_directory() / "training" / f"{digest}.json"
