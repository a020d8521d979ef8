"""A training run as the process sees it that was asked for it: here, or in processes that it starts."""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from imgcls.app.pixels import with_pixels
from imgcls.app.program import given_keys
from imgcls.app.resume import require_same_run
from imgcls.app.sharing import with_processes
from imgcls.errors import UserError
from imgcls.machine.installation import require_paddle
from imgcls.machine.reading import read_json, read_text
from imgcls.machine.signals import interruptible
from imgcls.machine.streams import open_closed_descriptors
from imgcls.run.checkpoint import is_fluid_checkpoint, list_checkpoints, matches
from imgcls.run.directory import Run, RunDirectory, require_free
from imgcls.run.launcher import Job, RankFailed, in_rank, run_ranks
from imgcls.run.logs import log, start_log

if TYPE_CHECKING:
    from imgcls.engine.callback import Callback


def job_of(trainer: DictConfig) -> Job:
    """How many processes the ``trainer`` section asks for, and where."""
    return Job(
        processes=max(trainer.gpus or 0, trainer.processes),
        nodes=trainer.nodes,
        node=trainer.node_rank,
        master=trainer.master,
    )


def start_training(config: DictConfig, directory: Path, callbacks: "Sequence[Callback]" = ()) -> float | None:
    """Train in this process, or in as many as the configuration asks for.

    Args:
        directory: of the run.
        callbacks: objects, beside those that the configuration names; for a run of one process.

    Returns:
        The best value of ``trainer.monitor``; ``None`` on other ranks than 0.
    """
    settings = config.trainer
    open_closed_descriptors()
    config, remarks = with_processes(with_pixels(config, _fluid_start(settings.resume)), bool(callbacks))
    _require_startable(config, directory)
    with interruptible():
        if job_of(config.trainer).size > 1 and not in_rank():
            if callbacks:
                raise UserError("Objects cannot go to other processes: name the callbacks, with callbacks.extra.")
            return run_job(config, directory, remarks)
        start_log()
        for remark in remarks:
            log.info("%s", remark)
        require_paddle()
        from imgcls.app.training import train

        return train(config, lambda: _open_run(config, directory), callbacks)


def _fluid_start(resume: str | None) -> str | None:
    """A training checkpoint of the original that the run goes on from."""
    return resume if resume not in (None, "auto") and is_fluid_checkpoint(Path(resume)) else None


def _require_startable(config: DictConfig, directory: Path) -> None:
    """Refuse what can be refused before Paddle is loaded: a run that is there, a key that has changed.

    Raises:
        UserError: see ``require_free`` and ``require_same_run``.
    """
    resume = config.trainer.resume
    if resume is None:
        require_free(directory)
    elif checkpoint := _newest_of(directory, resume):
        classes = read_text(checkpoint / "classes.txt")  # what the data has is not known yet
        require_same_run(checkpoint, {"config.yaml": OmegaConf.to_yaml(config), "classes.txt": classes})


def _newest_of(directory: Path, resume: str) -> Path | None:
    """The checkpoint that a run most likely goes on from, whole or not; ``None`` if there is none of this library."""
    found = list_checkpoints(directory / "checkpoints") if resume == "auto" else [Path(resume)]
    if not found or is_fluid_checkpoint(found[-1]):
        return None
    return found[-1] if matches(found[-1], ("config.yaml", "classes.txt")) else None


def run_job(config: DictConfig, directory: Path, remarks: Sequence[str] = ()) -> float | None:
    """Start the ranks, and start them again from the last checkpoint as often as ``trainer.max_restarts`` says.

    The run directory is made and held by this process; that of machine 0, if there are several.

    Args:
        remarks: what the log is to say of how the job came about.

    Returns:
        The best value of ``trainer.monitor``; ``None`` on the other machines.

    Raises:
        UserError: there are several machines, and no name for them to agree on.
        RankFailed: a rank failed for good.
        Interrupted: a signal stopped the run.
    """
    settings = config.trainer
    job = job_of(settings)
    if job.nodes > 1:
        _require_name()
    start_log()
    with _open_run(config, directory) if job.node == 0 else Run(directory) as run:
        if job.node == 0:
            start_log(run.path / "train.log")
        for remark in remarks:
            log.info("%s", remark)
        logs = run.path / "logs"
        log.info("%d of %d processes on this machine; their logs: %s", job.processes, job.size, logs)
        for restarts in itertools.count(1):
            try:
                run_ranks(_command(run), job, logs, OmegaConf.to_yaml(config), settings.rank_timeout)
                break
            except RankFailed as error:
                if not error.restartable or restarts > settings.max_restarts:
                    raise
                if job.node == 0:
                    run.rewind()
                log.warning("%s", error)
                log.warning("Restart %d of %d from %s.", restarts, settings.max_restarts, run.start_from or "the start")
        return _best(run, settings.monitor)


def _open_run(config: DictConfig, directory: Path) -> RunDirectory:
    return RunDirectory(directory, config.trainer.resume, log.warning, config.run.lock)


def _require_name() -> None:
    if "run.name" not in given_keys():
        raise UserError("With several machines (trainer.nodes) give run.name: the default differs between them.")


def _command(run: Run) -> list[str]:
    return [sys.executable, "-m", "imgcls.app.rank", str(run.path), *([str(run.start_from)] if run.start_from else [])]


def _best(run: Run, monitor: str) -> float | None:
    summary = run.path / "summary.json"
    return read_json(summary)["best"].get(monitor) if summary.exists() else None
