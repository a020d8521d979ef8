"""``trainer.processes=auto``: how many processes share this machine's cores, decided before any of them starts."""

from omegaconf import DictConfig

from imgcls.machine import cpu, memory
from imgcls.machine.installation import version_of
from imgcls.run.launcher import in_rank

AUTO = "auto"
IMAGES = 4
"""Of an update, that a process has at least."""

MEMORY, OF_GRAPHS = 2 << 30, 4 << 30
"""Bytes that are free for each process; where it may train by graphs with oneDNN."""


def with_processes(config: DictConfig, has_objects: bool = False) -> tuple[DictConfig, list[str]]:
    """The configuration with a number in ``trainer.processes``, and what is to be said of the choice.

    Args:
        has_objects: the run is given callbacks that are objects, which cannot go to other processes.
    """
    settings = config.trainer
    if settings.processes != AUTO:
        return config, []
    result = config.copy()
    reason = "for its callbacks are objects of one" if has_objects else _why_one(config)
    each = OF_GRAPHS if settings.compile in ("onednn", AUTO) else MEMORY
    shared = settings.batch_size, settings.accumulate, cpu.usable_cores(), memory.available(), each
    count = 1 if reason else count_for(*shared)
    result.trainer.processes = count
    threads = max(1, cpu.usable_cores() // count)
    if count == 1:
        return result, [f"trainer.processes=auto: one process, {reason or f'of {threads} threads'}"]
    remarks = [f"trainer.processes=auto: {count} processes, threads of each: {threads}"]
    if not settings.sync_bn:
        remarks.append(
            f"batch norms, if there are any, take the statistics of the {settings.batch_size // count} pictures of "
            "each process; of all with trainer.sync_bn=true, as one process does"
        )
    return result, remarks


def count_for(batch_size: int, accumulate: int, cores: int, free: int | None, each: int = MEMORY) -> int:
    """How many processes share a batch: few of Paddle's kernels for the CPU use a second thread, so one for each core.

    Args:
        batch_size: of an update, over all processes.
        accumulate: parts that it is computed in.
        free: bytes of memory; ``None`` if unknown.
        each: bytes that a process must find free.
    """
    most = cores if free is None else min(cores, free // each)
    most = min(most, batch_size // (IMAGES * accumulate))
    return max((count for count in range(1, most + 1) if batch_size % count == 0), default=1)


def _why_one(config: DictConfig) -> str | None:
    settings = config.trainer
    if in_rank():
        return "for another launcher has started several"
    if settings.gpus or (settings.gpus is None and version_of("paddlepaddle-gpu")):
        return "for each GPU gets one (trainer.gpus)"
    if settings.compile not in (False, AUTO) and settings.sync_bn:
        return "for synchronised batch norms can be compiled on GPUs only (trainer.sync_bn)"
    return "for trainer.same_batch is of one" if settings.same_batch is not None else None
