"""``python -m imgcls.app.rank <run directory> [<checkpoint>]``: one process of a run that ``imgcls.app.job`` started.

The composed configuration is read from standard input.
"""

import sys
from pathlib import Path

from omegaconf import OmegaConf

from imgcls.app.program import report
from imgcls.errors import Interrupted
from imgcls.machine import installation, pulse
from imgcls.machine.installation import require_paddle
from imgcls.machine.modules import import_modules
from imgcls.machine.processes import end_before_destructors
from imgcls.machine.signals import interruptible
from imgcls.machine.streams import prepare_streams
from imgcls.run.directory import Run
from imgcls.run.launcher import end_with_parent


def main() -> int:
    """Returns the exit status."""
    prepare_streams()
    end_with_parent()
    pulse.begin()
    installation.in_program = True
    directory, *checkpoint = map(Path, sys.argv[1:])
    config = OmegaConf.create(sys.stdin.buffer.read().decode("utf-8"))
    try:
        with interruptible():
            require_paddle()
            import_modules(config.imports)
            from imgcls.app.training import train

            train(config, lambda: Run(directory, *checkpoint))
    except (Exception, Interrupted) as error:
        return report(error)
    return 0


if __name__ == "__main__":
    status = main()
    end_before_destructors()
    sys.exit(status)
