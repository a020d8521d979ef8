"""The data workers' lives: how a worker starts, and how the parent learns that one died or hangs."""

import atexit
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from multiprocessing import connection

from paddle.base import core
from paddle.io.dataloader.dataloader_iter import _DataLoaderIterMultiProcess

POLL_SECONDS = 1.0

# Paddle's iterator asks for this when it is freed, also when making it failed half-way.
_DataLoaderIterMultiProcess._shutdown = True


def start_worker(parent: int, worker_id: int) -> None:
    """Runs first in each worker: signals are the parent's to handle, one thread, and no life without it."""
    # Ctrl-C and a time limit signal the whole group, and the parent still needs batches to stop in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    core.set_num_threads(1)
    end_with(parent)


def end_with(parent: int) -> None:
    """Let this process end soon after its parent."""
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


_watches: weakref.WeakSet["Watch"] = weakref.WeakSet()


class Watch:
    """Looks after the workers of one iteration, and ends them with it.

    Args:
        workers: Paddle's iterator over the batches of its worker processes.
        patience: seconds that training waits for a batch before the workers are given up.
    """

    def __init__(self, workers: Iterator, patience: float):
        # Paddle's handler of SIGCHLD would raise in the middle of whatever training is doing.
        core._erase_process_pids(id(workers))
        self.workers = workers
        self.patience = patience
        self.waiting_since: float | None = None
        self.problem: str | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        _watches.add(self)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers: politely, or at once when one of them is the problem."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self.problem is None:
            self.workers._try_shutdown_all(POLL_SECONDS)
        self.workers._shutdown = True  # nothing is left for Paddle's own clean-up, which would wait
        for process in self.workers._workers:
            if process.is_alive():
                process.kill()
        self._thread.join(2 * POLL_SECONDS)  # it ends with the workers; two threads cannot collect a process
        for process in self.workers._workers:
            process.join(POLL_SECONDS)

    def _run(self) -> None:
        running = {process.sentinel: process for process in self.workers._workers}
        while running and not self._closed.is_set():
            for sentinel in connection.wait(list(running), POLL_SECONDS):
                exitcode = running[sentinel].exitcode
                if exitcode is None:  # another thread is just collecting it
                    time.sleep(POLL_SECONDS / 100)
                    continue
                del running[sentinel]
                if exitcode != 0 and not self._closed.is_set():
                    return self._give_up(_why_it_died(exitcode))
            since = self.waiting_since
            if since is not None and time.monotonic() - since > self.patience:
                return self._give_up(
                    f"No batch came from the data workers for {self.patience:.0f} s. Is the disk with the images there "
                    "and fast enough? More time: data.worker_timeout; to see where it hangs: trainer.num_workers=0."
                )

    def _give_up(self, problem: str) -> None:
        self.problem = problem
        self.workers._exit_thread_unexpectedly()  # wakes the thread that waits for a batch


def _why_it_died(exitcode: int) -> str:
    if exitcode == -signal.SIGKILL:
        return (
            "A data worker was killed (signal SIGKILL), most likely because the machine ran out of memory. "
            "Use fewer workers (trainer.num_workers) or a smaller batch."
        )
    cause = f"signal {signal.Signals(-exitcode).name}" if exitcode < 0 else f"exit status {exitcode}"
    return f"A data worker died ({cause}). trainer.num_workers=0 shows what happens in it."


@atexit.register
def _close_watches() -> None:
    for watch in list(_watches):
        watch.close()
