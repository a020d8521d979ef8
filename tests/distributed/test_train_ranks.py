"""``python -m imgcls.train`` with two processes, as a user starts, stops and loses it."""

import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_run import TINY, assert_same_end, finish, has_logged, last, rows, starter, status, wait_for

from imgcls.weights.safe_pickle import load_pickle

TWO = (*TINY, "trainer.processes=2")


def run_path(directory: Path) -> Path:
    return directory / "outputs" / "tiny"


def rank_process(parent: int, rank: int) -> int:
    """The process id of a rank."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == f"rank-{rank}\n")


MIXED = (*TWO, "callbacks.mixup.enabled=true", "optimizer.scale_lr=true", "optimizer.base_batch_size=16")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a run of two processes printed, each of which has loaded Paddle itself, and its directory."""
    directory = tmp_path_factory.mktemp("undisturbed")
    with starter(directory) as start:
        output = finish(start(*MIXED, options={}))
    return output, run_path(directory)


def test_one_run_of_two_processes(undisturbed):
    """Only rank 0 writes and shows; every log is kept; the configuration is composed once."""
    output, run = undisturbed
    assert [row["epoch"] for row in rows(run)] == ["1", "2"]
    assert output.count("epoch 2/2") == 1
    assert "learning rate 0.0015 = optimizer.lr 0.003 x batch of 8 / base batch of 16" in output
    assert status(run) == "finished"
    logs = [(run / "logs" / f"rank-{rank}.log").read_text() for rank in range(2)]
    assert "epoch 2/2" in logs[0]
    assert "epoch 2/2" not in logs[1]
    assert "44 training and 21 validation pictures" in logs[1]
    config = (run / "config.yaml").read_text()
    assert "processes: 2" in config
    assert (run / "checkpoints" / "last" / "config.yaml").read_text() == config
    assert {path.name for path in run.parent.parent.iterdir()} == {"outputs"}


def test_a_signal_to_one_rank_stops_all_after_the_same_update(start, tmp_path):
    """Saved, marked as preempted, and continued by a single process with the whole batch."""
    process = start(*TWO, "trainer.epochs=40", "trainer.sync_bn=true")
    run = run_path(tmp_path)
    wait_for(has_logged(run, "step 3:"), process)
    os.kill(rank_process(process.pid, 1), signal.SIGTERM)
    finish(process, 128 + signal.SIGTERM)
    assert status(run) == "preempted"
    stopped = [
        line
        for rank in range(2)
        for line in (run / "logs" / f"rank-{rank}.log").read_text().splitlines()
        if "Stopped" in line
    ]
    assert len(stopped) == 2
    assert stopped[0] == stopped[1]
    updates = int(stopped[0].partition("after ")[2].split()[0])
    assert updates < 40 * 6
    assert last(run).name.endswith(f"-step-{updates:08d}")

    epochs = updates // 6 + 1
    output = finish(start(*TINY, f"trainer.epochs={epochs}", "trainer.sync_bn=true", "trainer.resume=auto"))
    assert f"after {updates} updates" in output
    assert status(run) == "finished"
    assert [row["epoch"] for row in rows(run)] == [str(epoch + 1) for epoch in range(epochs)]


def test_a_signal_during_evaluation(start, tmp_path, undisturbed):
    """What is saved is the end of the epoch's updates; the resumed run evaluates again and ends as if undisturbed."""
    (tmp_path / "unhurried.py").write_text(
        textwrap.dedent(
            """
            import time
            from imgcls.engine.callback import Callback

            class Unhurried(Callback):
                def on_train_begin(self, logs=None):
                    work = self.trainer.eval_batch
                    def unhurried(*arguments):
                        time.sleep(0.5)
                        return work(*arguments)
                    self.trainer.eval_batch = unhurried
            """
        )
    )
    unhurried = (*MIXED, "callbacks.extra=[{_target_: unhurried.Unhurried}]")
    process = start(*unhurried)
    run = run_path(tmp_path)
    wait_for(has_logged(run, "step 6:"), process)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    finish(process, 128 + signal.SIGTERM)
    assert status(run) == "preempted"
    assert last(run).name == "epoch-0000-step-00000006"
    assert not (run / "metrics.csv").exists()
    finish(start(*unhurried, "trainer.resume=auto"))
    assert_same_end(run, undisturbed[1])


def test_a_killed_rank_is_replaced_and_the_run_ends_as_if_undisturbed(start, tmp_path, undisturbed):
    process = start(*MIXED, "trainer.save_every_steps=1", "trainer.max_restarts=1")
    run = run_path(tmp_path)
    wait_for(has_logged(run, "step 9:"), process)
    os.kill(rank_process(process.pid, 1), signal.SIGKILL)
    output = finish(process)
    assert "Rank 1 of 2 was killed (signal SIGKILL)" in output
    assert "Restart 1 of 1 from" in output
    assert_same_end(run, undisturbed[1])


HALTED_AT = {
    "a save": (0, "paddle", "save"),
    "an evaluation": (1, "self.trainer", "eval_batch"),
}


@pytest.mark.parametrize("work", [pytest.param("a save", marks=pytest.mark.full), "an evaluation"])
def test_a_rank_that_is_halted_is_noticed_and_named(start, tmp_path, work):
    """In the time that ``trainer.rank_timeout`` states; the other one waits, for minutes if it has to."""
    rank, owner, name = HALTED_AT[work]
    (tmp_path / "halted.py").write_text(
        textwrap.dedent(
            f"""
            import os, signal
            import paddle
            from imgcls.engine.callback import Callback

            class Halted(Callback):
                def on_train_begin(self, logs=None):
                    work = {owner}.{name}
                    def halted(*arguments, **options):
                        if self.trainer.ranks.rank == {rank}:
                            os.kill(os.getpid(), signal.SIGSTOP)
                        return work(*arguments, **options)
                    {owner}.{name} = halted
            """
        )
    )
    process = start(*TWO, "callbacks.extra=[{_target_: halted.Halted}]", "trainer.rank_timeout=8")
    output = finish(process, 2, timeout=240)
    assert f"Rank {rank} of 2 was halted (as by SIGSTOP): it has shown no sign of life for 8 seconds" in output
    assert status(run_path(tmp_path)) == "failed"


def test_under_paddles_own_launcher(start, tmp_path):
    """And under a scheduler that sets its variables: rank 0 decides where the run is, though names differ."""
    arguments = [argument for argument in TWO if not argument.startswith("run.name")]
    launcher = ("--nproc_per_node", "2", "--log_dir", "logs", sys.executable, "-m", "imgcls.train")
    finish(start(*launcher, *arguments, "run.name='at-${now:%f}'", program="paddle.distributed.launch"))
    (run,) = (tmp_path / "outputs").iterdir()
    assert len(rows(run)) == 2
    assert status(run) == "finished"
    assert "continuing" not in (tmp_path / "logs" / "workerlog.1").read_text()


def test_two_machines(start, tmp_path):
    """The same command on each, here both on this one."""
    nodes = (*TINY, "trainer.nodes=2", f"trainer.master=127.0.0.1:{20000 + os.getpid() % 10000}")
    second = start(*nodes, "trainer.node_rank=1")
    first = start(*nodes, "trainer.node_rank=0")
    assert "epoch 2/2" in finish(first)
    assert "epoch 2/2" not in finish(second)
    run = run_path(tmp_path)
    assert len(rows(run)) == 2
    assert (run / "logs" / "rank-1.log").exists()


def test_a_nan_on_one_rank_stops_all_and_is_not_saved(start, tmp_path):
    (tmp_path / "poison.py").write_text(
        textwrap.dedent(
            """
            from dataclasses import replace
            from imgcls.engine.callback import Callback

            class Poison(Callback):
                def on_batch(self, batch):
                    if self.trainer.progress.step == 8 and batch.rank == 1:
                        return replace(batch, images=batch.images * float("nan"))
                    return batch
            """
        )
    )
    process = start(
        *TWO, "callbacks.extra=[{_target_: poison.Poison}]", "trainer.log_every=5", "trainer.save_every_steps=1"
    )
    output = finish(process, 2)
    assert "not finite" in output
    run = run_path(tmp_path)
    assert status(run) == "failed"
    saved = last(run)
    assert saved.name == "epoch-0001-step-00000008"
    assert all(np.isfinite(value).all() for value in load_pickle(saved / "network.pdparams").values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("trainer.batch_size=9", "must be a multiple of 2"),
        ("trainer.nodes=2", "must be host:port of machine 0"),
        ("trainer.node_rank=1", "there are 1 machines"),
    ],
)
def test_mistakes_are_found_before_anything_starts(ask, tmp_path, wrong, message):
    result = ask("train", *TWO, wrong, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.full
def test_ranks_wait_for_a_slow_disk(start, tmp_path):
    """gloo gives up after 30 seconds; a checkpoint that takes longer must not end the run."""
    (tmp_path / "slow.py").write_text(
        textwrap.dedent(
            """
            import time
            from imgcls.engine.callback import Callback

            class Slow(Callback):
                def on_epoch_end(self, epoch, logs=None):
                    time.sleep(40 if self.trainer.ranks.first else 0)
            """
        )
    )
    process = start(*TWO, "trainer.epochs=1", "trainer.eval_every=1", "callbacks.extra=[{_target_: slow.Slow}]")
    finish(process)
    assert status(run_path(tmp_path)) == "finished"
