"""The signals that ask a program to stop, and what becomes of it while there is nothing to save."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from imgcls.errors import Interrupted

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""From a scheduler, from a keyboard, from a terminal that was closed."""

QUEUED_AGAIN = signal.SIGUSR2
"""From submitit, before a job's time is over or when it has to give way: what it is queued again for."""

SUBMITTED = "SUBMITIT_EXECUTOR"
"""A variable of the jobs that submitit has started."""

Handler = Callable[[int, object], None]


def handle_stopping(handler: Handler) -> dict[signal.Signals, object]:
    """Let ``handler`` have the signals that ask to stop; returns the handlers before, for ``restore_handlers``.

    In a job of submitit's its own is among them: its handler would raise whatever it raises in the midst of an update.
    SIGHUP stays ignored where it is: that is what nohup is for. Outside the main thread, where Python lets
    nobody handle signals, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    asked = (*STOPPING, QUEUED_AGAIN) if SUBMITTED in os.environ else STOPPING
    wanted = [number for number in asked if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in wanted}


def restore_handlers(handlers: dict[signal.Signals, object]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextlib.contextmanager
def interruptible(kept: str = "nothing was under way that had to be saved") -> Iterator[None]:
    """Inside, these signals raise ``Interrupted``, so that a program ends with a message and tidies up.

    An error that a library makes of it, as Paddle's translation of a network to a graph does, is taken for it.

    Args:
        kept: what the message says of the work.
    """
    asked: list[Interrupted] = []

    def stop(number: int, frame: object) -> None:
        asked.append(Interrupted(f"Stopped by {signal.Signals(number).name}; {kept}.", status=128 + number))
        raise asked[-1]

    previous = handle_stopping(stop)
    try:
        yield
    except Exception as error:
        if asked:
            raise asked[-1] from error
        raise
    finally:
        restore_handlers(previous)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Inside, these signals wait; for modules that put handlers of their own before Python's while they start.

    What a handler raises meanwhile, such a module would turn into an ``ImportError``. Threads of NumPy's, where there
    are any, take a signal that this thread does not, and so it is both blocked here and noted down.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    for number in handlers:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        restore_handlers(handlers)  # which are no longer before Python's
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in came:
            signal.raise_signal(number)


def status_of(program: Callable[[], int]) -> int:
    """What a program without a configuration ends with; where a signal stops it, that of the signal, and a message."""
    try:
        with interruptible():
            return program()
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return stopped.status
