"""Jobs of submitit's: whom a signal of its own is left to, and who is waited for."""

import os
import signal
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from imgcls.app.submitted_jobs import leave_threads_to, queued_again, wait_for_the_others
from imgcls.errors import Interrupted, UserError
from imgcls.machine import cpu
from imgcls.machine.signals import QUEUED_AGAIN, STOPPING, SUBMITTED, interruptible

LAUNCHER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"


@pytest.fixture
def submitit(monkeypatch):
    """Its handler, as it is in a job of its own; what that raises is put into the list."""
    seen, raised = [], [SystemExit(0)]

    def handler(number, frame):
        seen.append(number)
        raise raised[0]

    monkeypatch.setenv(SUBMITTED, "slurm")
    before = signal.signal(QUEUED_AGAIN, handler)
    yield seen, raised
    signal.signal(QUEUED_AGAIN, before)


def test_a_job_that_gives_way_ends_in_order_before_submitit_queues_it_again(submitit):
    seen, raised = submitit
    saved = []

    def train():
        try:
            os.kill(os.getpid(), QUEUED_AGAIN)
        except Interrupted:
            assert not seen
            saved.append(True)
            raise

    with pytest.raises(SystemExit), queued_again(), interruptible():
        train()
    assert (saved, seen) == ([True], [QUEUED_AGAIN])
    raised[0] = RuntimeError("Job not requeued because: timed-out too many times.")
    words = r"Stopped by SIGUSR2; .* timed-out too many times\. hydra\.launcher\."
    with pytest.raises(UserError, match=words), queued_again(), interruptible():
        os.kill(os.getpid(), QUEUED_AGAIN)


def test_other_signals_are_none_of_its_business(submitit):
    for number in STOPPING:
        with pytest.raises(Interrupted), queued_again(), interruptible():
            os.kill(os.getpid(), number)
    assert submitit[0] == []


def test_jobs_that_are_left_are_waited_for(tmp_path, capsys, monkeypatch):
    """One process that still runs, and one that ended long ago."""
    monkeypatch.setattr("imgcls.app.submitted_jobs.LOOK_SECONDS", 0.01)
    command = [sys.executable, "-c", "print(flush=True); input()", "submitit"]
    job = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    job.stdout.readline()  # not before it runs has a process its words
    for number in (job.pid, 4_000_000_000):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / f"{number}_submitted.pkl").touch()
    launcher = {"_target_": LAUNCHER, "submitit_folder": str(tmp_path / "%j")}
    config = OmegaConf.create({"hydra": {"launcher": launcher}})

    def end(*_):
        job.communicate(b"\n")

    monkeypatch.setattr("imgcls.app.submitted_jobs.time.sleep", end)
    wait_for_the_others(config)
    assert job.returncode == 0
    assert capsys.readouterr().out.count("waiting for those that are left") == 1


def test_jobs_do_not_inherit_the_threads_of_the_machine_that_asked_for_them(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    monkeypatch.setattr(cpu, "set_here", {"OMP_NUM_THREADS"})
    leave_threads_to(OmegaConf.create({"hydra": {"launcher": {"_target_": "other"}}}))
    assert os.environ["OMP_NUM_THREADS"] == "64"
    leave_threads_to(OmegaConf.create({"hydra": {"launcher": {"_target_": LAUNCHER, "submitit_folder": "x"}}}))
    assert "OMP_NUM_THREADS" not in os.environ
    assert os.environ["MKL_NUM_THREADS"] == "3"
