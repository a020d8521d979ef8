"""The signals that ask a program to stop, and what becomes of it while there is nothing to save."""

import contextlib
import os
import signal
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

    Args:
        kept: what the message says of the work.
    """

    def stop(number: int, frame: object) -> None:
        raise Interrupted(f"Stopped by {signal.Signals(number).name}; {kept}.", status=128 + number)

    previous = handle_stopping(stop)
    try:
        yield
    finally:
        restore_handlers(previous)
