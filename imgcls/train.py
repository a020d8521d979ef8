"""``python -m imgcls.train``: train a network, or go on with a run, in one process or in many."""

from omegaconf import DictConfig

from imgcls.app.job import job_of, run_job
from imgcls.app.program import entry_point, output_directory
from imgcls.machine.installation import require_paddle
from imgcls.run.directory import RunDirectory
from imgcls.run.launcher import in_rank
from imgcls.run.logs import log
from imgcls.run.signals import interruptible


@entry_point("train")
def main(config: DictConfig) -> float | None:
    """Returns the best value of ``trainer.monitor``, for sweepers that optimise it."""
    directory, settings = output_directory(), config.trainer
    with interruptible():
        if job_of(settings).size > 1 and not in_rank():
            return run_job(config, directory)
        require_paddle()
        from imgcls.app.training import train

        return train(config, lambda: RunDirectory(directory, settings.resume, report=log.warning))


if __name__ == "__main__":
    main()
