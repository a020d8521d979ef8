"""Memory of a training run stays where it is: the program's own and its data workers'."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tiny_run import TINY, finish, starter, wait_for

MB = 2**20
WARM, LATE = (0.3, 0.5), (0.8, 1.0)
"""The parts of a run that are compared, as shares of its updates."""

GROWTH_MB = {"program": 4, "worker": 2}


@pytest.fixture
def start(tmp_path):
    with starter(tmp_path) as start_program:
        yield start_program


def children(process: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []


def resident(process: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def watch(process, log: Path, updates: int) -> tuple[np.ndarray, set[int]]:
    """Rows of update, then MB of the program and of a worker; and all processes there were."""
    rows: list[tuple[float, ...]] = []
    seen = {process.pid}

    def over() -> bool:
        time.sleep(0.005)
        done = re.findall(r"step (\d+):", log.read_text()) if log.exists() else []
        if done:
            with suppress(FileNotFoundError, ProcessLookupError):  # workers end with an epoch
                workers = children(process.pid)
                seen.update(workers)
                each = [resident(worker) for worker in workers]
                row = resident(process.pid), np.mean(each or [0])
                rows.append((int(done[-1]), *(size / MB for size in row)))
        return bool(done) and int(done[-1]) >= updates

    wait_for(over, process, seconds=900)
    return np.array(rows), seen


@pytest.mark.parametrize(
    ("workers", "epochs", "updates"),
    [
        (2, 1, 300),
        pytest.param(2, 1, 5000, marks=pytest.mark.full),
        pytest.param(0, 1, 5000, marks=pytest.mark.full),
        pytest.param(2, 40, 40, marks=pytest.mark.full),
    ],
)
def test_memory_is_flat(workers, epochs, updates, start, tmp_path, capsys):
    """Over the updates of one long epoch, and over many short ones that start their workers anew."""
    batch = ("trainer.batch_size=2", f"data.train_size={2 * updates}", "data.val_size=4", f"trainer.epochs={epochs}")
    seldom = (f"trainer.save_every={epochs}", f"trainer.eval_every={epochs}", "trainer.log_every=10")
    process = start(*TINY, *batch, *seldom, f"trainer.num_workers={workers}")
    total = epochs * updates
    rows, seen = watch(process, tmp_path / "outputs" / "tiny" / "train.log", total)
    finish(process)
    share = rows[:, 0] / total
    looks = [rows[(share >= first) & (share <= last), 1:] for first, last in (WARM, LATE)]
    warm, late = (np.median(part, axis=0) for part in looks)
    with capsys.disabled():
        print(f"\n{epochs} x {updates} updates, {workers} workers, {len(seen)} processes, {len(rows)} looks:")
        for name, *values in zip(GROWTH_MB, warm, late, rows[:, 1:].max(axis=0), strict=True):
            print("  {}: {:.2f} MB, then {:.2f}, at most {:.2f}".format(name, *values))
    assert min(map(len, looks)) >= 3
    assert len(seen) > workers
    for name, before, after in zip(GROWTH_MB, warm, late, strict=True):
        assert after - before < GROWTH_MB[name], name
