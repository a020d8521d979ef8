"""Jobs that submitit has handed out to a SLURM cluster or to this machine, seen from the sweep that waits for them."""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from imgcls.errors import Interrupted, UserError
from imgcls.machine import cpu
from imgcls.machine.signals import QUEUED_AGAIN

LOOK_SECONDS = 5.0
"""Between two looks at what is still running."""

PATIENCE = 60.0
"""Seconds for an answer of SLURM's."""


def lack_of_accounts(config: DictConfig) -> str | None:
    """A warning, where the sweep would never hear of a job that is killed; ``None`` where it does."""
    if not _is_slurm(config) or shutil.which("sbatch") is None:
        return None
    if _answer(["sacct", "-n", "-X", "-o", "JobID"]) is None:
        return (
            "This cluster keeps no accounts of its jobs (sacct does not answer). The sweep waits for ever for a job "
            "that is killed: end it with Ctrl-C then; the same command with trainer.resume=auto goes on."
        )
    return None


def leave_threads_to(config: DictConfig) -> None:
    """Take out of the environment, which jobs are given, what was set in it for the cores of this machine."""
    if _is_submitit(config):
        for name in cpu.set_here:
            os.environ.pop(name, None)
        cpu.set_here.clear()


def wait_for_the_others(config: DictConfig) -> None:
    """Return when no job of the sweep is running or waiting any more: submitit gives up at the first that is killed.

    Ctrl-C ends the waiting, not the jobs.
    """
    if not _is_submitit(config):
        return
    directory = config.hydra.launcher.submitit_folder
    running = _in_queue if _is_slurm(config) else _on_this_machine
    is_told = False
    try:
        while _submitted(Path(directory).parent) & running():
            if not is_told:
                print("A job ended early; waiting for those that are left.", flush=True)
                is_told = True
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        print("No longer waiting; these jobs go on by themselves.", flush=True)


@contextlib.contextmanager
def queued_again() -> Iterator[None]:
    """A job that submitit asks to give way, and that has saved its state, is left to it: it queues the job and exits.

    Raises:
        UserError: it does not, because the job's time was over once too often.
    """
    asked = signal.getsignal(QUEUED_AGAIN)
    try:
        yield
    except Interrupted as stopped:
        if stopped.status == 128 + QUEUED_AGAIN and callable(asked):
            try:
                asked(QUEUED_AGAIN, None)
            except Exception as error:
                said = str(error).rstrip(".")
                raise UserError(
                    f"{stopped} submitit says: {said}. hydra.launcher.timeout_min gives each job more time; with "
                    "hydra.launcher.max_num_timeout=5 and trainer.resume=auto it goes on by itself."
                ) from error
        raise


def _is_submitit(config: DictConfig) -> bool:
    return config.hydra.get("launcher", {}).get("submitit_folder") is not None


def _is_slurm(config: DictConfig) -> bool:
    return _is_submitit(config) and config.hydra.launcher._target_.endswith(".SlurmLauncher")


def _submitted(directory: Path) -> set[str]:
    """Numbers of jobs, of arrays of jobs, or of processes."""
    return {path.name.partition("_")[0] for path in directory.glob("*/*_submitted.pkl")}


def _in_queue() -> set[str]:
    found = _answer(["squeue", "-h", "-u", getpass.getuser(), "-o", "%F"])
    return set((found or "").split())


def _on_this_machine() -> set[str]:
    def is_one(process: str) -> bool:
        try:
            return b"submitit" in Path("/proc", process, "cmdline").read_bytes()
        except OSError:
            return False

    return {process for process in os.listdir("/proc") if process.isdecimal() and is_one(process)}


def _answer(command: list[str]) -> str | None:
    try:
        options = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
        return subprocess.run(command, check=True, timeout=PATIENCE, **options).stdout
    except (OSError, subprocess.SubprocessError):
        return None
