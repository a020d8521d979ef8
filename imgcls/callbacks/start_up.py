"""Says how long it took from the command to the end of the first update."""

import logging
import os
import time
from pathlib import Path

from imgcls.engine.callback import Callback

log = logging.getLogger("imgcls")


class StartUp(Callback):
    """One line in the log, where the system tells a process's age; counted from the launcher if there is one."""

    def __init__(self):
        super().__init__()
        self.waiting = True

    def on_train_batch_end(self, step, logs=None):
        if self.waiting:
            self.waiting = False
            age = process_age(os.getppid() if self.trainer.ranks.count > 1 else os.getpid())
            if age is not None:
                log.info("first update done %.1f s after the start of the program", age)


def process_age(process: int) -> float | None:
    """Seconds since a process was started; ``None`` where there is no ``/proc``."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    ticks = int(stat.rpartition(")")[2].split()[19])  # field 22, starttime; the name before it may hold blanks
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
