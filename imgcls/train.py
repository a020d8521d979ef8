"""``python -m imgcls.train``: train a network, or go on with a run, in one process or in many."""

from omegaconf import DictConfig

from imgcls.config import entry_point, output_directory
from imgcls.installation import require_paddle
from imgcls.job import job_of, run_job
from imgcls.launch import in_rank
from imgcls.logs import log
from imgcls.run_directory import RunDirectory
from imgcls.signals import interruptible


@entry_point("train")
def main(config: DictConfig) -> float | None:
    """Returns the best value of ``trainer.monitor``, for sweepers that optimise it."""
    directory, settings = output_directory(), config.trainer
    with interruptible():
        if job_of(settings).size > 1 and not in_rank():
            return run_job(config, directory)
        require_paddle()
        from imgcls.training import train

        return train(config, lambda: RunDirectory(directory, settings.resume, report=log.warning))


if __name__ == "__main__":
    main()
