"""``python -m launched <processes>:<machine>:<machines>:<master> <logs> <module> <arguments>``.

The ranks, on one of several machines, of a module that lies here; see ``together``.
"""

import sys
from pathlib import Path

from imgcls.run.launcher import Job, run_ranks


def main(job: str, logs: str, *module: str) -> None:
    processes, machine, machines, master = job.split(":", 3)
    run_ranks([sys.executable, "-m", *module], Job(int(processes), int(machines), int(machine), master), Path(logs))


if __name__ == "__main__":
    main(*sys.argv[1:])
