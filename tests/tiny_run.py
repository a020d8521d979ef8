"""The smallest run of the real program: started, watched and judged as a user would, by what it leaves behind."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from locations import ROOT
from warm_start import LAUNCHER, WarmProcess, is_ours, programs

from imgcls.weights.safe_pickle import load_pickle

SMALLEST = ("model=densenet121", "model.args.repeats=[1,1,1,1]", "model.args.growth=4")
"""Twelve convolutions with batch norm and 4,600 parameters: an update takes a third of what one of the narrowest
ResNet18 takes, and checkpoints are small."""

TINY = (
    *SMALLEST,
    "transform.size=32",
    "data=synthetic",
    "data.num_classes=5",
    "data.train_size=44",
    "data.val_size=21",
    "trainer.batch_size=8",
    "trainer.eval_batch_size=8",
    "trainer.epochs=2",
    "trainer.num_workers=0",
    "trainer.log_every=1",
    "trainer.gpus=0",
    "run.name=tiny",
)
"""Six updates an epoch, the last of four images."""

TIMING = ("images_per_second", "data_wait")


@contextmanager
def starter(directory: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start ``python -m <program> <arguments>`` in ``directory``; what still runs at the end is killed.

    A program of this library, Paddle's launcher, or one that lies in ``directory``, finds Paddle loaded, see
    ``warm_start``, unless ``options`` for ``Popen`` are given.
    """
    started: list[subprocess.Popen | WarmProcess] = []

    def start(
        *arguments: str, program: str = "imgcls.train", options: dict[str, Any] | None = None
    ) -> subprocess.Popen | WarmProcess:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PADDLE_")}
        environment = {**inherited, "PYTHONPATH": os.pathsep.join((str(ROOT), str(directory)))}
        words = list(map(str, arguments))
        ours = program == LAUNCHER or is_ours(program, directory)
        if options is None and ours and programs.fits(environment):
            process = programs.start(program, *words, cwd=directory, environment=environment, joined=True)
        else:
            process = subprocess.Popen(
                [sys.executable, "-m", program, *words],
                cwd=directory,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                **(options or {}),
            )
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def finish(process: subprocess.Popen, status: int = 0, timeout: float = 300) -> str:
    """What the program printed, when it has ended with ``status``."""
    output, _ = process.communicate(timeout=timeout)
    assert process.returncode == status, output
    return output


def wait_for(condition: Callable[[], bool], process: subprocess.Popen, seconds: float = 300) -> None:
    """Return as soon as ``condition`` holds; fail when the program ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def has_logged(run: Path, text: str) -> Callable[[], bool]:
    log = run / "train.log"
    return lambda: log.exists() and text in log.read_text()


def rows(run: Path) -> list[dict[str, str]]:
    """The history, without what time it took."""
    table = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    return [{key: value for key, value in row.items() if key not in TIMING} for row in table]


def status(run: Path) -> str:
    return json.loads((run / "status.json").read_text())["status"]


def last(run: Path) -> Path:
    return (run / "checkpoints" / "last").resolve()


def assert_same_end(first: Path, second: Path) -> None:
    """Two runs have the same history, and the same bits in their last checkpoints."""
    assert rows(first) == rows(second)
    assert last(first).name == last(second).name
    names = sorted(path.name for path in last(first).glob("*.pd*"))
    assert "network.pdparams" in names
    assert names == sorted(path.name for path in last(second).glob("*.pd*"))
    for name in names:
        one, two = load_pickle(last(first) / name), load_pickle(last(second) / name)
        assert one.keys() == two.keys(), name
        for key, value in one.items():
            assert np.array_equal(value, two[key]), f"{name}: {key}"
