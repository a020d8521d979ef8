"""The fastest engine for an export on this machine: measured for the batch at hand, and remembered."""

import hashlib
import importlib.util
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from imgcls.deploy.contract import read_contract
from imgcls.deploy.engines import ENGINES, ENGINES_OF, Run
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.machine.cache import cache_directory
from imgcls.machine.measured import in_turns, remember, remembered

log = logging.getLogger(__name__)

PACKAGES = {"onnxruntime": ("onnxruntime",), "openvino": ("openvino",)}
"""What engines need beside Paddle; a Paddle graph also needs ``CONVERTERS`` for onnxruntime."""

CONVERTERS = ("paddle2onnx", "onnx")
NEVER_FASTEST = ("jit",)
"""It has eager mode's kernels."""

ROUNDS, ROUNDS_OF_CLOSE = 5, 10
LEAST_ROUNDS = 2
BLOCK_SECONDS = 0.1
BLOCK_BATCHES = 5
LONGEST_BLOCK_SECONDS = 1.0
"""An engine runs at a stretch, after one batch that is not timed, for so long and so many batches, but no longer than
the last of these."""

PATIENCE_SECONDS = 10.0
"""After which no further round begins."""

CLOSE = 1.3
"""Times the fastest's: between such engines a few turns, in which others use the machine, do not decide. On a busy host
the ratio of two engines' medians has a deviation of 0.05 after ten rounds, that of their best batches 0.06."""

REST_SECONDS = 0.2
"""Between engines: for so long the threads of the last one go on turning, in wait of more work."""

TOLERANCE = 1e-3
"""Largest difference from the first engine's answers, over their range, of an engine that may be taken."""


class Candidate(NamedTuple):
    """An engine and options of it."""

    engine: str
    options: Mapping[str, Any]


class Choice(NamedTuple):
    """What was found: milliseconds for a batch by the candidates' names, the fastest first."""

    milliseconds: Mapping[str, float]
    is_remembered: bool

    @property
    def name(self) -> str:
        return next(iter(self.milliseconds))

    def __str__(self) -> str:
        times = ", ".join(f"{name} {value:.1f}" for name, value in self.milliseconds.items())
        source = "as remembered" if self.is_remembered else "measured now"
        return f"{self.name} is the fastest of: {times} ms ({source})"


class Fastest:
    """Runs a graph under the fastest engine there is; it is chosen at the first batch, or by ``choose``."""

    def __init__(self, directory: str | Path, threads: int | None = None, mode: str | None = None):
        self.directory, self.threads, self.mode = Path(directory), threads, mode
        self._contract = read_contract(directory)
        self._run: Run | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self._run is None:
            self.choose(images)
        return self._run(images)

    def choose(self, images: np.ndarray) -> str:
        """Take the fastest engine for batches like this one, as the graph takes it; gives its name.

        Raises:
            UserError: no engine can run the graph.
        """
        candidates = self._candidates(len(images))
        if len(candidates) == 1:
            name = next(iter(candidates))
        else:
            times = remembered(self._file(images, candidates), candidates)
            choice = Choice(times, True) if times else self._measured(images, candidates)
            log.info("engine for batches of %d: %s", len(images), choice)
            name = choice.name
        self._run = self._open(candidates[name])
        return name

    def runs(self, images: np.ndarray) -> dict[str, Run]:
        """The engines that ``choose`` measures for batches like this one.

        Raises:
            UserError: no engine can run the graph.
        """
        return self._agreeing(images, self._candidates(len(images)))

    def _candidates(self, count: int) -> dict[str, Candidate]:
        found = {}
        for engine in ENGINES_OF[self._contract.graph]:
            needed = PACKAGES.get(engine, ())
            if engine == "onnxruntime" and self._contract.graph in ("paddle", "pir"):
                needed = (*needed, *CONVERTERS)
            if engine in NEVER_FASTEST or not all(map(importlib.util.find_spec, needed)):
                continue
            if engine != "openvino":
                found[engine] = Candidate(engine, {})
                continue
            for mode in ("latency", "throughput") if self.mode is None else (self.mode,):
                if mode == "latency" or count > 1:
                    name = engine if mode == "latency" else f"{engine} with streams"
                    found[name] = Candidate(engine, {"mode": mode})
        return found

    def _open(self, candidate: Candidate) -> Run:
        return ENGINES[candidate.engine](self.directory, threads=self.threads, **candidate.options)

    def _measured(self, images: np.ndarray, candidates: Mapping[str, Candidate]) -> Choice:
        is_busy = cpu.is_busy()
        if is_busy:
            log.warning("the machine is busy (load %.1f): on an idle one another engine may be faster", cpu.load())
        runs = self._agreeing(images, candidates)
        times = measure(runs, images)
        choice = Choice(dict(sorted(times.items(), key=lambda entry: entry[1])), False)
        about = {"model": self._contract.model, "machine": cpu.name(), "batch": list(images.shape)}
        remember(self._file(images, candidates), choice.milliseconds, is_busy, about)
        return choice

    def _agreeing(self, images: np.ndarray, candidates: Mapping[str, Candidate]) -> dict[str, Run]:
        runs: dict[str, Run] = {}
        expected = None
        for name, candidate in candidates.items():
            try:
                run = self._open(candidate)
                found = run(images)
            except (UserError, RuntimeError) as error:  # what an engine cannot do
                log.info("the engine %s is left out: %s", name, error)
                continue
            expected = found if expected is None else expected
            if not np.abs(found - expected).max() <= TOLERANCE * max(float(np.ptp(expected)), 1e-6):
                log.warning("the engine %s is left out: its answers differ from those of %s", name, next(iter(runs)))
                continue
            runs[name] = run
        if not runs:
            raise UserError(f"No engine that is installed can run {self.directory}; the log says why.")
        return runs

    def _file(self, images: np.ndarray, candidates: Mapping[str, Candidate]) -> Path:
        """By all that the choice depends on."""
        packages = ("paddlepaddle", "paddlepaddle-gpu", *sorted({p for names in PACKAGES.values() for p in names}))
        known = (
            cpu.name(),
            cpu.usable_cores(),
            self.threads,
            sorted(self._contract.sha256.items()),
            images.shape,
            list(candidates),
            [version(package) for package in packages],
        )
        return cache_directory() / "engines" / f"{hashlib.sha256(repr(known).encode()).hexdigest()[:32]}.json"


def measure(
    runs: Mapping[str, Run], images: np.ndarray, of_batches: Callable[[list[float]], float] = median
) -> dict[str, float]:
    """Milliseconds for a batch: the median of all, or what else is asked for.

    All take turns; those that are close to the fastest then take more of them, as other programs had theirs.
    """

    def block(name: str) -> list[float]:
        return run_for_a_while(runs[name], images)

    blocks = in_turns(runs, block, ROUNDS, LEAST_ROUNDS, PATIENCE_SECONDS)
    times = {name: of_batches(flat(found)) for name, found in blocks.items()}
    close = [name for name, time_of in times.items() if time_of <= CLOSE * min(times.values())]
    if len(close) > 1:
        for name, found in in_turns(close, block, ROUNDS_OF_CLOSE, LEAST_ROUNDS, PATIENCE_SECONDS).items():
            times[name] = of_batches(flat(blocks[name] + found))
    return times


def run_for_a_while(run: Run, images: np.ndarray, warmup: int = 1, steps: int = 1) -> list[float]:
    """Milliseconds for each batch at a stretch, after a rest and ``warmup`` batches; of ``steps`` batches at least."""
    time.sleep(REST_SECONDS)
    for _ in range(warmup):
        run(images)
    times: list[float] = []
    while len(times) < steps or not is_block(times):
        started = time.perf_counter()
        run(images)
        times.append(1000 * (time.perf_counter() - started))
    return times


def is_block(milliseconds: Sequence[float]) -> bool:
    """Whether batches that took so long are enough to judge an engine by."""
    spent = sum(milliseconds) / 1000
    return spent >= LONGEST_BLOCK_SECONDS or (spent >= BLOCK_SECONDS and len(milliseconds) >= BLOCK_BATCHES)


def flat(blocks: Iterable[Iterable[float]]) -> list[float]:
    return list(itertools.chain.from_iterable(blocks))


def version(package: str) -> str | None:
    """Of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
