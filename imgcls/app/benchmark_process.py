"""``python -m imgcls.app.benchmark_process <setting> <file>``: one process of a measurement by ``benchmarks.train``.

The composed configuration is read from standard input; rank 0 writes the figures to the file.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from imgcls.app.program import report
from imgcls.benchmarks.train import Setting
from imgcls.errors import Interrupted
from imgcls.machine.installation import require_paddle
from imgcls.run.launcher import end_with_parent, is_first


def main() -> int:
    """Returns the exit status."""
    end_with_parent()
    setting, file = Setting(**json.loads(sys.argv[1])), Path(sys.argv[2])
    config = OmegaConf.create(sys.stdin.read())
    try:
        require_paddle()
        from imgcls.app.train_speed import measure

        figures = measure(config, setting)
        if is_first():
            file.write_text(json.dumps(asdict(figures)))
    except (Exception, Interrupted) as error:
        return report(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
