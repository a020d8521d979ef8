"""SIGKILL at random moments, inside saves too: the run always goes on, and ends as if undisturbed."""

import os
import random
import signal
import time

import pytest
from tiny_run import TINY, assert_same_end, finish, starter, wait_for

RUN = (
    *TINY,
    "data.train_size=60",  # eight updates an epoch
    "trainer.epochs=5",
    "trainer.save_every_steps=1",
    "callbacks.mixup.enabled=true",
    "callbacks.ema.enabled=true",
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed")
    with starter(directory) as start:
        finish(start(*RUN))
    return directory / "outputs" / "tiny"


def stop_inside_a_save(process, checkpoints):
    """Halt the process while it has a checkpoint half written; where it was faster, at the next one."""
    while True:
        wait_for(lambda: any(checkpoints.glob(".*.partial")), process)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.01)
        if any(checkpoints.glob(".*.partial")):
            return
        process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.full)])
def test_a_run_killed_again_and_again(start, tmp_path, undisturbed, kills):
    """Every other kill waits for a save to be under way, half of these are sure to hit it.

    Every third run has data workers, which must not hold it.
    """
    rng = random.Random(kills)
    run = tmp_path / "outputs" / "tiny"
    checkpoints = run / "checkpoints"
    epochs = 5 if kills == 5 else 40
    arguments = (*RUN, f"trainer.epochs={epochs}", "trainer.resume=auto")
    inside = 0
    for number in range(kills):
        before = len(list(checkpoints.glob("epoch-*"))) and max(checkpoints.glob("epoch-*")).name
        process = start(*arguments, f"trainer.num_workers={2 if number % 3 == 2 else 0}")
        wait_for(lambda before=before: any(path.name > str(before) for path in checkpoints.glob("epoch-*")), process)
        time.sleep(rng.uniform(0, 0.2))
        if number % 4 == 1:
            stop_inside_a_save(process, checkpoints)
        elif number % 4 == 3:
            wait_for(lambda: any(checkpoints.glob(".*.partial")), process)
            time.sleep(rng.uniform(0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        inside += any(checkpoints.glob(".*.partial"))
    assert inside >= kills // 4
    output = finish(start(*arguments))
    assert "continuing from" in output
    assert not any(checkpoints.glob(".*"))
    if kills == 50:
        finish(start(*RUN, f"trainer.epochs={epochs}", "run.name=undisturbed"))
        undisturbed = run.with_name("undisturbed")
    assert_same_end(run, undisturbed)
