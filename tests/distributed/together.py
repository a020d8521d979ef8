"""Ranks of modules that lie here."""

from collections.abc import Callable
from pathlib import Path

from tiny_run import finish

from imgcls.run.launcher import LOCALHOST, free_port


def finish_ranks(start: Callable, logs: Path, *module: object, processes: int = 1, machines: int = 1) -> None:
    """Run the module in each process of each machine; these are all this one, and do not know.

    Args:
        start: see ``tiny_run.starter``.
        module: its name and arguments.
    """
    master = f"{LOCALHOST}:{free_port()}"
    jobs = [f"{processes}:{machine}:{machines}:{master}" for machine in range(machines)]
    programs = [start(job, logs, *module, program="launched") for job in jobs]
    for program in programs:
        finish(program)
