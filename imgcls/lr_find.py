"""``python -m imgcls.lr_find``: which learning rate a training should start from."""

from omegaconf import DictConfig

from imgcls.app.program import entry_point, output_directory
from imgcls.machine.installation import require_paddle
from imgcls.run.logs import start_log


@entry_point("lr_find")
def main(config: DictConfig) -> float | None:
    """Returns the suggested ``optimizer.lr``."""
    require_paddle()
    from imgcls.app.lr_search import search_lr

    start_log()
    return search_lr(config, output_directory())


if __name__ == "__main__":
    main()
