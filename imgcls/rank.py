"""``python -m imgcls.rank <run directory> [<checkpoint>]``: one process of a run that ``imgcls.job`` has started.

The composed configuration is read from standard input.
"""

import sys
from pathlib import Path

from omegaconf import OmegaConf

from imgcls.config import report
from imgcls.errors import Interrupted
from imgcls.installation import require_paddle
from imgcls.launch import end_with_parent
from imgcls.run_directory import Run
from imgcls.signals import interruptible


def main() -> int:
    """Returns the exit status."""
    end_with_parent()
    directory, *checkpoint = map(Path, sys.argv[1:])
    config = OmegaConf.create(sys.stdin.read())
    try:
        with interruptible():
            require_paddle()
            from imgcls.training import train

            train(config, lambda: Run(directory, *checkpoint))
    except (Exception, Interrupted) as error:
        return report(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
