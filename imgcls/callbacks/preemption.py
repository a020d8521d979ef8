"""SIGTERM and SIGINT: finish the update, save, and leave with a message that says how to go on."""

import signal

from imgcls.callbacks.base import Callback
from imgcls.errors import Interrupted


class Preemption(Callback):
    """A second signal is not caught: it ends the process at once.

    Args:
        resume_hint: how to continue, for the message.
    """

    def __init__(self, resume_hint: str):
        super().__init__()
        self.resume_hint = resume_hint
        self.received: signal.Signals | None = None
        self.previous: dict[signal.Signals, object] = {}

    def on_train_begin(self, logs=None):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.previous[number] = signal.signal(number, self._remember)

    def on_train_end(self, logs=None):
        self._restore_handlers()

    def on_train_batch_end(self, step, logs=None):
        if self.received is None:
            return
        self._restore_handlers()
        for callback in self.trainer.callbacks:
            callback.on_interrupt()
        raise Interrupted(
            f"Stopped by {self.received.name} after {self.trainer.progress.step} updates; the state is saved. "
            f"Continue with: {self.resume_hint}",
            status=128 + self.received,
        )

    def _remember(self, number, frame) -> None:
        self.received = signal.Signals(number)
        signal.signal(number, signal.SIG_DFL)

    def _restore_handlers(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous.clear()
