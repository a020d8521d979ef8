"""``python -m imgcls.train``: train a network, or go on with a run, in one process or in many."""

from omegaconf import DictConfig

from imgcls.app.job import start_training
from imgcls.app.program import entry_point, output_directory


@entry_point("train")
def main(config: DictConfig) -> float | None:
    """Returns the best value of ``trainer.monitor``, for sweepers that optimise it."""
    return start_training(config, output_directory())


if __name__ == "__main__":
    main()
