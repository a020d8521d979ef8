"""SIGTERM and SIGINT while there is nothing to save."""

import contextlib
import signal
from collections.abc import Iterator

from imgcls.errors import Interrupted


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Inside, both signals raise ``Interrupted``, so that a program ends with a message and tidies up."""

    def stop(number: int, frame: object) -> None:
        name = signal.Signals(number).name
        raise Interrupted(f"Stopped by {name}; nothing was under way that had to be saved.", status=128 + number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
