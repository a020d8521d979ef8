"""A pool of processes: a function of many tasks, computed ahead, with results in the order of the tasks.

Each worker has two pipes of its own, one for tasks and one for results, and nothing else is shared: no
lock that a killed worker could hold, no thread, no semaphore that needs room in ``/dev/shm``.

    parent  --(number, task, slot)-->  worker
            <--(number, result or exception)--

All that a worker was given and has not answered is known here, so that a death has names. Workers
started by ``fork`` share what the parent had, those by ``spawn`` get it sent: needed where other
threads run, whose locks a fork may copy while they are held.

A worker may be given a limit of time for each item of its tasks. One that takes longer is killed and
replaced; the new one does its tasks, and finds the item among those that exceed the limit.
"""

import atexit
import gc
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from multiprocessing.context import BaseContext
from typing import Any

from imgcls.errors import UserError
from imgcls.machine.processes import end_with_parent
from imgcls.machine.shared_array import SentArray

GRACE_SECONDS = 1.0
"""From the end of the work until workers that have not ended by themselves are killed."""

RETRY_SECONDS = 0.01
"""Between attempts to send what a worker's pipe has no room for."""

HANDLED_BY_PARENT = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2}
"""Ctrl-C, a time limit and a scheduler signal the whole group, and the parent may need results to stop in order."""

LIMIT_SIGNAL = signal.SIGPROF
"""Ends a worker by the kernel's hand when the limit's timer runs out, whatever it is at."""

Function = Callable[[Any, int], Any]


class WorkerDied(Exception):
    """A worker ended before its work.

    ``exitcode`` is negative for a signal; ``tasks`` maps the slots of what it had been given to the
    tasks, oldest first: that is what it was at. Empty when it had nothing to do.
    """

    def __init__(self, exitcode: int | None, tasks: dict[int, Any]):
        super().__init__(exitcode, tasks)
        self.exitcode = exitcode
        self.tasks = tasks


class WorkersSilent(Exception):
    """The next result did not come within the ``patience`` of the pool."""


class TimeLimit:
    """Seconds of processor time that a worker may take for one item: code that hears no exception is ended so, too.

    Processor time, since a busy machine or a slow disk says nothing about an item. In a process that is
    no worker nothing could go on after it, so there the limit does nothing.

    Args:
        seconds: no limit when left out.
        slots: the ``ahead`` of the pool.
    """

    def __init__(self, seconds: float | None, slots: int):
        self.seconds = seconds
        self.exceeded: set[int] = set()
        self._begun = SentArray((max(1, slots) * 8,))

    @contextmanager
    def on(self, item: int) -> Iterator[None]:
        """What is done inside is done for this item."""
        if not in_worker():
            yield
            return
        self._begun.array.view("int64")[_slot] = item
        signal.setitimer(signal.ITIMER_PROF, self.seconds or 0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def item(self, slot: int) -> int:
        """The last one that was begun in a slot."""
        return int(self._begun.array.view("int64")[slot])


def in_worker() -> bool:
    """Whether this process is a worker of a pool, at one of its tasks."""
    return _slot is not None


class Pool:
    """Processes that compute ``function(task, slot)``.

    Args:
        function: a slot is one of ``range(ahead)``, not in use for another task until the result of
            this one has been received: a place for what is better not sent. Pickled for ``spawn``.
        num_workers: processes; 0 computes in the calling thread, nothing ahead, always in slot 0.
        ahead: tasks that may be in work or wait to be received.
        start: ``fork`` or ``spawn``.
        patience: seconds to wait for a result that was asked for; without end when left out.
        limit: for the items of a task; the same object that ``function`` uses.
    """

    def __init__(
        self,
        function: Function,
        num_workers: int,
        ahead: int,
        start: str = "fork",
        patience: float | None = None,
        limit: TimeLimit | None = None,
    ):
        self.function = function
        self.num_workers = num_workers
        self.ahead = ahead
        self.start = start
        self.patience = patience
        self.limit = limit
        self.workers: list[Worker] = []
        _pools.add(self)

    def map(self, tasks: Iterable[Any], receive: Callable[[Any], Any] = lambda result: result) -> Iterator[Any]:
        """What ``receive`` makes of each result, in this process and before the slot is used again.

        Tasks are taken as they are needed. The workers start with the first result that is asked for
        and end with the iteration, however that ends.

        Raises:
            WorkerDied: any worker, whether its result is the next or not.
            WorkersSilent: see ``patience``.
            UserError: raised by the function.
            RuntimeError: anything else raised by the function, with the text of its traceback.
        """
        if not self.num_workers:
            for task in tasks:
                yield receive(self.function(task, 0))
            return
        numbered = enumerate(tasks)
        results: dict[int, Any] = {}
        given = next_number = 0
        try:
            self._start_workers(self.num_workers)
            given += self._give(numbered, self.ahead)
            while next_number < given:
                self._wait_for(next_number, results)
                result = results.pop(next_number)
                if isinstance(result, _Raised):
                    raise result.error
                result = receive(result)
                given += self._give(numbered, 1)
                next_number += 1
                yield result
        finally:
            self.close()

    def close(self) -> None:
        """End the workers: they see that their pipes are closed; those that do not are killed."""
        workers, self.workers = self.workers, []
        for worker in workers:
            worker.hang_up()
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    def _start_workers(self, count: int) -> None:
        if self.start == "spawn":
            resource_tracker.ensure_running()  # would be started with the first of them, and unblock signals
        # A forked worker must not collect what the parent left over: to free it may mean to wait for
        # threads that exist in the parent only, and memory that is not looked at stays shared. So nothing is
        # collected from before the fork until the worker has put all of it out of its own sight.
        gc.collect()  # or what is left over of each epoch would wait for long
        collects = gc.isenabled()
        gc.disable()
        try:
            for _ in range(count):
                self.workers.append(Worker(multiprocessing.get_context(self.start), self.function, collects))
                self.workers[-1].start()
        finally:
            if collects:
                gc.enable()

    def _give(self, numbered: Iterator[tuple[int, Any]], count: int) -> int:
        """Hand out up to so many tasks, each to the worker with the fewest; returns how many there were."""
        for given in range(count):
            number, task = next(numbered, (None, None))
            if number is None:
                return given
            min(self.workers, key=lambda worker: len(worker.tasks)).give(number, task, number % self.ahead)
        return count

    def _wait_for(self, number: int, results: dict[int, Any]) -> None:
        """Receive what has arrived, and wait until this result is there."""
        asked = time.monotonic()
        self._receive(results, 0)
        while number not in results:
            left = None if self.patience is None else asked + self.patience - time.monotonic()
            if left is not None and left <= 0:
                raise WorkersSilent
            self._receive(results, left)

    def _receive(self, results: dict[int, Any], timeout: float | None) -> None:
        """Wait for results of any worker, not always so long, and note those that are there."""
        if not self.workers:
            raise RuntimeError("The workers belong to another process, or have been closed.")
        if not all([worker.flush() for worker in self.workers]):
            timeout = RETRY_SECONDS if timeout is None else min(timeout, RETRY_SECONDS)
        waiting_for = {worker.results: worker for worker in self.workers}
        for pipe in connection.wait(waiting_for, timeout):
            try:
                number, result = waiting_for[pipe].take()
            except WorkerDied as error:
                if self.limit is None or error.exitcode != -LIMIT_SIGNAL or not error.tasks:
                    raise
                self._replace(waiting_for[pipe])
            else:
                results[number] = result

    def _replace(self, worker: "Worker") -> None:
        """One that exceeded the limit, by a new one that knows the item; the others go on."""
        tasks = worker.tasks
        self.limit.exceeded.add(self.limit.item(next(iter(tasks.values()))[1]))
        self.workers.remove(worker)
        worker.hang_up()
        self._start_workers(1)
        for number, (task, slot) in tasks.items():
            self.workers[-1].give(number, task, slot)


class Worker:
    """One process of a pool, and the pipes to it.

    ``tasks`` maps the numbers of what it was given to task and slot, oldest first.
    """

    def __init__(self, context: BaseContext, function: Function, collects: bool):
        self.tasks: dict[int, tuple[Any, int]] = {}
        self._unsent = bytearray()
        self._given, self._tasks = context.Pipe(duplex=False)
        self.results, self._answers = context.Pipe(duplex=False)
        os.set_blocking(self._tasks.fileno(), False)
        starter = os.getpid(), threading.get_native_id() == os.getpid()
        self.process = context.Process(target=_work, args=(starter, collects, self._given, self._answers, function))

    def start(self) -> None:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_BY_PARENT)  # until it ignores them
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self._given.close()
            self._answers.close()

    def give(self, number: int, task: Any, slot: int) -> None:
        """Never waits: a worker may be waiting itself, with results that are not received meanwhile."""
        self.tasks[number] = task, slot
        self._unsent += pickle.dumps((number, task, slot))
        self.flush()

    def flush(self) -> bool:
        """Send what there is room for; returns whether that was all."""
        with suppress(BlockingIOError, BrokenPipeError):  # a dead worker is noticed by its results
            while self._unsent:
                del self._unsent[: os.write(self._tasks.fileno(), self._unsent)]
        return not self._unsent

    def take(self) -> tuple[int, Any]:
        """A number and its result, which has arrived or does so now.

        Raises:
            WorkerDied: it will not.
        """
        try:
            message = self.results.recv_bytes()
        except (EOFError, OSError) as error:
            self.process.join(GRACE_SECONDS)
            raise WorkerDied(self.process.exitcode, {slot: task for task, slot in self.tasks.values()}) from error
        number, result = pickle.loads(message)
        del self.tasks[number]
        return number, result

    def hang_up(self) -> None:
        """Let it end when it has finished what it is at."""
        self._tasks.close()
        self.results.close()

    def kill(self) -> None:
        """End it now; no longer waited for than a disk may keep it."""
        self.process.kill()
        self.process.join(GRACE_SECONDS)

    def join(self, timeout: float) -> None:
        """Wait for its end, and kill it after so many seconds."""
        if self.process.pid is not None:  # it could be started
            self.process.join(timeout)
            if self.process.is_alive():
                self.kill()
            with suppress(ValueError):  # a disk may keep it still
                self.process.close()


class _Raised:
    """An exception instead of a result."""

    def __init__(self, error: Exception):
        self.error = RuntimeError(f"A worker failed:\n{''.join(traceback.format_exception(error))}")
        if isinstance(error, UserError):
            try:
                self.error = pickle.loads(pickle.dumps(error))
            except Exception:  # its class does not allow it
                self.error = UserError(str(error))


def _work(
    starter: tuple[int, bool],
    collects: bool,
    given: connection.Connection,
    answers: connection.Connection,
    function: Function,
) -> None:
    """What a worker does from its start to its end."""
    gc.freeze()
    if collects:
        gc.enable()
    for number in HANDLED_BY_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(LIMIT_SIGNAL, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*HANDLED_BY_PARENT, LIMIT_SIGNAL})
    end_with_parent(*starter)
    ended = EOFError, pickle.UnpicklingError, BrokenPipeError  # by the parent: between tasks, within one, at a result
    with open(given.fileno(), "rb", closefd=False) as tasks, suppress(*ended):
        while True:
            number, task, slot = pickle.load(tasks)
            answers.send_bytes(_answer(number, function, task, slot))
    _close_pools()


def _answer(number: int, function: Function, task: Any, slot: int) -> bytes:
    global _slot
    _slot = slot
    try:
        return pickle.dumps((number, function(task, slot)))
    except Exception as error:
        return pickle.dumps((number, _Raised(error)))


_slot: int | None = None
"""In a worker, that of the task it is at."""

_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


@atexit.register
def _close_pools() -> None:
    """Before multiprocessing's own clean-up, registered earlier, which waits for processes without end."""
    for pool in list(_pools):
        pool.close()


def _forget_pools() -> None:
    """In a forked process: the workers are not its own, and its copies of their pipes would keep them waiting."""
    for pool in list(_pools):
        for worker in pool.workers:
            worker.hang_up()
        pool.workers = []


os.register_at_fork(after_in_child=_forget_pools)
