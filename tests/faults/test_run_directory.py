"""Who may write a run, and what it says about itself afterwards."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from tiny_run import TINY, finish, has_logged, last, rows, status, wait_for

from imgcls.errors import UserError
from imgcls.run.directory import RunDirectory

LONG = (*TINY, "trainer.epochs=1000")


def test_two_runs_of_one_name_at_once(start, tmp_path):
    """The second is refused whether or not it wants to resume; the first goes on, with nothing saved yet."""
    first = start(*LONG, "data.train_size=80000")
    run = tmp_path / "outputs" / "tiny"
    wait_for(has_logged(run, "step 2:"), first)
    for resume in ("null", "auto"):
        output = finish(start(*LONG, "data.train_size=80000", f"trainer.resume={resume}"), 2)
        assert f"Another process is writing the run {run} (process {first.pid} on" in output
    assert first.poll() is None
    assert status(run) == "running"
    first.send_signal(signal.SIGINT)
    finish(first, 130)
    assert status(run) == "preempted"


def test_a_killed_run_leaves_no_lock(start, tmp_path):
    """Nor do the data workers that outlive it for a moment."""
    first = start(*LONG, "trainer.num_workers=2")
    run = tmp_path / "outputs" / "tiny"
    wait_for((run / "checkpoints" / "last").exists, first)
    first.kill()
    first.wait()
    assert status(run) == "running"
    assert "continuing from" in finish(start(*TINY, "trainer.epochs=2", "trainer.resume=auto"))
    assert status(run) == "finished"


def test_a_name_is_not_taken_twice(start, tmp_path):
    finish(start(*TINY, "trainer.epochs=1"))
    assert "already holds a run. Continue it with trainer.resume=auto" in finish(start(*TINY), 2)


def test_the_clock_decides_nothing(start, tmp_path):
    """Checkpoints that seem to be from the future, or older than their elders, change nothing."""
    finish(start(*TINY, "trainer.epochs=2"))
    run = tmp_path / "outputs" / "tiny"
    now = time.time()
    for years, path in enumerate(sorted((run / "checkpoints").glob("epoch-*"), reverse=True)):
        for file in [*path.iterdir(), path]:
            os.utime(file, (now + years * 31e6, now + years * 31e6))
    expected = last(run).name
    output = finish(start(*TINY, "trainer.epochs=3", "trainer.resume=auto"))
    assert f"continuing from {run / 'checkpoints' / expected}" in output
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3"]


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize("made_again", [True, False])
def test_a_directory_that_is_removed_under_a_run_is_said(tmp_path, lock, made_again):
    run = RunDirectory(tmp_path / "宠物", None, print, lock=lock)
    expected = UserError if lock or not made_again else FileNotFoundError  # without a lock nobody can tell

    def write(file: Path) -> None:
        shutil.rmtree(run.path, ignore_errors=not made_again)
        if made_again:
            run.path.mkdir()
        file.read_bytes()

    with pytest.raises(expected, match="宠物"), run:
        write(run.path / "metrics.csv")
    other = RunDirectory(tmp_path / "other", None, print)
    with pytest.raises(FileNotFoundError), other:
        (tmp_path / "something else").read_bytes()
    assert status(other.path) == "failed"
