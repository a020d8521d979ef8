"""``python -m launched job.processes=<number> <logs> <module> <arguments>``: the ranks of a module that lies here."""

import sys
from pathlib import Path

from imgcls.run.launcher import Job, run_ranks

if __name__ == "__main__":
    processes, logs, *module = sys.argv[1:]
    run_ranks([sys.executable, "-m", *module], Job(int(processes.partition("=")[2])), Path(logs))
